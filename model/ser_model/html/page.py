"""The frame of an HTML page, and its parts. A page is one file that loads nothing; all texts are plain and escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Final

# The policy makes the browser itself refuse any request of the page.
_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #555; --rule: #ccc; --paper: #fff; --good: #0072b2;
  --bad: #d55e00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #aaa; --rule: #444; --paper: #161618; --good: #56b4e9; --bad: #e69f00; }
  img { background: #fff; border-radius: 6px; }
}
body { font: 17px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 42rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td { border-top: 1px solid var(--rule); padding: .35rem .9rem .35rem 0; vertical-align: top; }
td:first-child { min-width: 7rem; font-weight: 600; }
figure { margin: 0; }
img, svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: .5rem; }
.note { border-left: 4px solid var(--bad); padding: .1rem 0 .1rem 1rem; }
.verdict { border-left: 4px solid var(--good); padding: .1rem 0 .1rem 1rem; font-weight: 600; }
.bad { border-color: var(--bad); }
.small { color: var(--soft); font-size: .9rem; }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; }
  figure { break-inside: avoid; }
  h2 { break-after: avoid; }
}
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def render_page(title: str, parts: Sequence[str]) -> str:
    """Return a page.

    Its colours follow the reader's choice of light or dark.

    Args:
        title: name of the page, and its heading.
        parts: HTML below the heading, from the functions below; empty ones are left out.
    """
    return _PAGE.substitute(title=escape(title), body="\n".join(part for part in parts if part))


def heading(text: str) -> str:
    """Return a heading of the second level."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph; `style` holds class names: `note`, `verdict`, `verdict bad`, `small` or `absent`."""
    return f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>"


def bullets(texts: Sequence[str]) -> str:
    """Return a list, or nothing where there are no texts."""
    items = "\n".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>" if items else ""


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    cells = "\n".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>\n{cells}\n</table>"


def figure(title: str, image: str, caption: str, name: str = "") -> str:
    """Return a picture below its heading.

    Args:
        title: the heading.
        image: HTML of the picture, from `png_image` or `ser_model.html.svg.Plot.svg`.
        caption: what the picture shows and how to read it.
        name: the anchor of the picture.
    """
    anchor = f' id="{escape(name)}"' if name else ""
    return f"{heading(title)}\n<figure{anchor}>\n{image}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def png_image(png: bytes, description: str) -> str:
    """Return a PNG file as an inline image."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">'
