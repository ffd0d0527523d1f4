"""Checks the links of a site that lies in a folder, and that it loads nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """What a page has and links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("src", "href", "srcset", "data"):
                self.loads.append(value)


def check(site: Path) -> tuple[list[str], set[str]]:
    """Return a sentence for each link that leads nowhere and each outside resource, and the links to other sites."""
    read = {path: _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    faults: list[str] = []
    outside: set[str] = set()
    for path, page in read.items():
        # What a server sends for a missing page has absolute links.
        if path.name == "404.html":
            continue
        where = path.relative_to(site)
        faults += [f"{where}: loads {load} from outside" for load in page.loads if _is_outside(load)]
        local = [load for load in page.loads if not _is_outside(load) and not load.startswith("data:")]
        for link in [*page.links, *local]:
            if _is_outside(link):
                outside.add(link)
            elif not _leads_somewhere(path, link, read):
                faults.append(f"{where}: {link} leads nowhere")
    sheets: Iterable[Path] = site.rglob("*.css")
    faults += [
        f"{sheet.relative_to(site)}: loads {load} from outside"
        for sheet in sheets
        for load in re.findall(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^\"')]+)", sheet.read_text())
    ]
    return faults, outside


def _is_outside(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "mailto")


def _leads_somewhere(path: Path, link: str, read: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if target not in read:
        return target.is_file() and not parts.fragment
    return not parts.fragment or unquote(parts.fragment) in read[target].anchors
