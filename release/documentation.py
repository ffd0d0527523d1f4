"""Makes the documentation as a site in `dist/site`: `make docs`.

The pages are those of `docs/` and of the source tree's root, with the API from the docstrings. The site needs a
browser and nothing else: it loads nothing from other places, and can be opened from its folder. Only the search needs
a server, such as `python3 -m http.server -d dist/site`. Its links are checked.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from site_links import check

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "dist" / "site"
PACKAGES = ("model", "daemon", "calibration", "bridges")

MODEL_CARD = "model/ser_model/weights/MODEL_CARD.md"
PROJECT = {
    "Contributing": "CONTRIBUTING.md",
    "Changelog": "CHANGELOG.md",
    "Report a fault": "SECURITY.md",
    "Model card": MODEL_CARD,
}

DOCSTRINGS: dict[str, Any] = {
    "docstring_style": "google",
    "docstring_section_style": "list",
    "filters": ["!^_"],
    "heading_level": 2,
    "inherited_members": True,
    "line_length": 60,
    "members_order": "source",
    "merge_init_into_class": True,
    "separate_signature": True,
    "show_bases": False,
    "show_if_no_docstring": True,
    "show_root_full_path": False,
    "show_root_heading": True,
    "show_root_toc_entry": True,
    "show_signature_annotations": True,
    "show_source": False,
    "show_symbol_type_heading": True,
    "signature_crossrefs": True,
}
"""How mkdocstrings shows a docstring."""

API: dict[str, tuple[str, tuple[str, ...]]] = {
    "Recognizer": (
        "`ser_model` labels recordings and streams without a daemon. It needs NumPy and ONNX Runtime.",
        (
            "ser_model.Recognizer",
            "ser_model.read_audio",
            "ser_model.Model",
            "ser_model.types",
            "ser_model.config",
            "ser_model.errors",
        ),
    ),
    "Client": (
        "`ser_daemon.client` reads a daemon's events and sends it requests. It needs only the standard library. "
        "The [protocol](../docs/protocol.md) describes the requests.",
        (
            "ser_daemon.client.Client",
            "ser_daemon.client.AsyncClient",
            "ser_daemon.client.NotRunning",
            "ser_daemon.client.NotAllowed",
            "ser_daemon.client.RequestFailed",
            "ser_daemon.client.ProtocolError",
        ),
    ),
    "Events": (
        "What both clients give. `from ser_daemon.client import Emotion` imports one. The "
        "[protocol](../docs/protocol.md) shows them as lines of JSON.",
        (
            "ser_daemon.client.Event",
            "ser_daemon.client.Hello",
            "ser_daemon.client.AudioState",
            "ser_daemon.client.VoiceStarted",
            "ser_daemon.client.Emotion",
            "ser_daemon.client.Activation",
            "ser_daemon.client.VoiceStopped",
            "ser_daemon.client.CaptureState",
        ),
    ),
}
"""Title of a page to its introduction and the names that it documents."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site and check its links; return 1 if one leads nowhere or outside, 2 if it cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="default: dist/site")
    parser.add_argument("--outside", action="store_true", help="list the links to other sites, which are not checked")
    arguments = parser.parse_args(argv)
    output: Path = arguments.output.resolve()
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        print("documentation: mkdocs is not installed: pip install -e '.[docs]'", file=sys.stderr)
        return 2
    if output.exists() and not output.is_dir():
        print(f"documentation: {output} is no folder: name an empty or a new one", file=sys.stderr)
        return 2
    if output.is_dir() and any(output.iterdir()) and not (output / "objects.inv").is_file():
        print(f"documentation: {output} holds other things than a site: name an empty folder", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="documentation-") as folder:
        if not build(Path(folder), output):
            return 2
    faults, outside = check(output)
    for fault in faults:
        print(f"documentation: {fault}", file=sys.stderr)
    if arguments.outside:
        print(*sorted(outside), sep="\n")
    print(f"{output / 'index.html'}: {len(list(output.rglob('*.html')))} pages, {len(outside)} links to other sites")
    return 1 if faults else 0


def build(folder: Path, output: Path) -> bool:
    """Build the site by mkdocs, with a temporary folder for its source; return whether it had no complaint."""
    source = folder / "source"
    for page in pages():
        target = source / page.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target)
    for title, (introduction, names) in API.items():
        path = source / api_page(title)
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join([f"# {title}", introduction, *(f"::: {name}" for name in names)]) + "\n")
    (source / "style.css").write_text(STYLE)
    (source / "search.js").write_text(SEARCH)
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings(source, folder / "site"), sort_keys=False))
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(folder / "mkdocs.yml")]
    done = subprocess.run(
        command, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        return False
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / "site", output)
    return True


def pages() -> list[Path]:
    """Return the Markdown pages of the site, and the files that they link to; the site has the tree's folders."""
    found: list[Path] = []
    waiting = [ROOT / MODEL_CARD, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    while waiting:
        page = waiting.pop(0)
        if page in found or not page.is_file():
            continue
        found.append(page)
        if page.suffix == ".md":
            targets = re.findall(r"\]\(([^)\s#]+)", page.read_text())
            waiting += [(page.parent / target).resolve() for target in targets if ":" not in target]
    return found


def api_page(title: str) -> str:
    """Return the page's path in the site's source."""
    return f"api/{title.lower()}.md"


def navigation() -> list[dict[str, Any]]:
    """Return the site's contents: the sections and links of docs/README.md, the API, and the project's own pages."""
    parts: list[dict[str, Any]] = [{"ser-daemon": "README.md"}]
    for section in re.split(r"^## ", (ROOT / "docs/README.md").read_text(), flags=re.MULTILINE)[1:]:
        # A page that is named twice is where it is named first.
        links = {name: title for title, name in reversed(re.findall(r"\[([^]]+)\]\(([\w-]+\.md)\)", section))}
        entries = [{title[0].upper() + title[1:]: f"docs/{name}"} for name, title in reversed(links.items())]
        parts.append({section.partition("\n")[0]: entries})
    parts.append({"API": [{title: api_page(title)} for title in API]})
    return [*parts, {"Project": [{title: path} for title, path in PROJECT.items()]}]


def settings(source: Path, output: Path) -> dict[str, Any]:
    """Return what mkdocs.yml holds."""
    schemes = (("light", "default", "material/weather-night"), ("dark", "slate", "material/weather-sunny"))
    palette = [
        {
            "media": f"(prefers-color-scheme: {preferred})",
            "scheme": scheme,
            "primary": "indigo",
            "toggle": {"icon": icon, "name": "Light or dark"},
        }
        for preferred, scheme, icon in schemes
    ]
    return {
        "site_name": "ser-daemon",
        "docs_dir": str(source),
        "site_dir": str(output),
        "use_directory_urls": False,
        "nav": navigation(),
        # Without `font: false` the theme loads fonts from elsewhere.
        "theme": {
            "name": "material",
            "font": False,
            "palette": palette,
            "features": ["navigation.top", "navigation.footer", "content.code.copy", "search.highlight"],
        },
        "extra": {"generator": False},
        "extra_css": ["style.css"],
        "extra_javascript": ["search.js"],
        "validation": {"links": {"anchors": "warn", "unrecognized_links": "warn", "not_found": "warn"}},
        "markdown_extensions": [{"toc": {"permalink": True}}, "pymdownx.highlight", "pymdownx.superfences", "tables"],
        "plugins": [
            # Names with dots and underscores are found by their parts.
            {"search": {"separator": r"""[\s\-_,:!=\[\]()"`/.]+"""}},
            {
                "mkdocstrings": {
                    "handlers": {"python": {"paths": [str(ROOT / name) for name in PACKAGES], "options": DOCSTRINGS}}
                }
            },
        ],
    }


STYLE = """
.doc-label-instance-attribute, .doc-label-class-attribute, .doc-label-module-attribute { display: none; }
.from-folder .md-search, .from-folder [for="__search"] { display: none; }
.md-typeset table:not([class]) { font-size: .7rem; }
.md-typeset table:not([class]) :is(th, td) { min-width: 0; padding: .6em .8em; }
.md-typeset td:first-child code { white-space: nowrap; }
.md-typeset .doc-contents { border-left: .05rem solid var(--md-default-fg-color--lightest); padding-left: .8rem; }
"""

SEARCH = """
// A browser runs no worker for a page from a folder, so that the search would find nothing.
if (location.protocol === "file:") document.documentElement.classList.add("from-folder");
"""


if __name__ == "__main__":
    sys.exit(main())
