"""A page of results: one HTML file with everything in it, that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from ser_daemon.files import replace_file
from ser_model.errors import SerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and what is said about it."""

    title: str
    caption: str
    """What it shows and how to read it."""
    svg: str
    """The picture itself (`ser_calibration.html.svg`)."""


# The policy makes the browser itself refuse any request of the page.
_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 17px/1.55 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 52rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td { border-top: 1px solid #ddd; padding: .35rem .9rem .35rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; font-weight: 600; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; }
figcaption { color: #333; }
.verdict { border-left: 4px solid #0072b2; padding: .1rem 0 .1rem 1rem; font-weight: 600; }
.bad { border-color: #d55e00; }
.small { color: #555; font-size: .9rem; }
@media print { figure { break-inside: avoid; } h2 { break-after: avoid; } }
</style>
</head>
<body>
<h1>$title</h1>
<p class="$kind">$verdict</p>
$remarks
<table>
$figures
</table>
$pictures
<p class="small">$footer</p>
</body>
</html>
""")


def compose(
    title: str,
    *,
    verdict: str,
    good: bool,
    remarks: Sequence[str],
    figures: Sequence[tuple[str, str]],
    pictures: Sequence[Picture],
    footer: str,
) -> str:
    """Return the whole page; texts are plain.

    Args:
        title: heading, and name of the page.
        verdict: one line below it.
        good: how that line looks.
        remarks: what to change.
        figures: names and values.
        pictures: in the order of the page.
        footer: how this was made.
    """
    items = "".join(f"<li>{escape(text)}</li>\n" for text in remarks)
    return _PAGE.substitute(
        title=escape(title),
        verdict=escape(verdict),
        kind="verdict" if good else "verdict bad",
        remarks=f"<ul>\n{items}</ul>" if items else "",
        figures="\n".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in figures),
        pictures="\n".join(map(_section, pictures)),
        footer=escape(footer),
    )


def write_page(path: Path, text: str) -> None:
    """Write a page in one step.

    Raises:
        SerError: It can't be written.
    """
    try:
        replace_file(path, text)
    except OSError as error:
        raise SerError(
            f"{path}: cannot write this page: {error.strerror}; make room, or allow it, and repeat."
        ) from None


def _section(picture: Picture) -> str:
    return (
        f"<h2>{escape(picture.title)}</h2>\n<figure>\n{picture.svg}\n"
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>"
    )
