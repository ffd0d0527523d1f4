"""The documentation: links lead somewhere, every page is in the index, and the README stays short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

LONGEST_README = 120
SOURCE_FOLDERS = ("model", "daemon", "calibration", "bridges", "benchmarks", "systemd", "tests", "docs")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """Targets of a page's links that are not on the web."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `two`: three\n[a](page.md#one-two-three) [b](#four) [c](none.md) [d](https://example.org)\n")
    assert broken(page) == ["#four", "none.md"]


def test_the_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert set((ROOT / "docs").glob("*.md")) - {index} <= linked


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_every_page_that_the_source_names_exists() -> None:
    files = [path for folder in SOURCE_FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    for path in [*files, ROOT / "config.yaml", ROOT / "CONTRIBUTING.md", ROOT / "README.md"]:
        for name in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text()):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_can_be_compiled(page: Path) -> None:
    for example in re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE):
        compile(example, str(page), "exec")


def test_the_functions_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    references = re.findall(r"`((?:\w+/)*\w+\.py):(\w+)(?:\.(\w+))?`", text)
    assert len(references) > 20
    for path, name, member in references:
        files = [
            file for folder in ("daemon/ser_daemon", "model", "daemon") if (file := ROOT / folder / path).is_file()
        ]
        assert files, path
        code = files[0].read_text()
        assert re.search(rf"^(?:(?:async )?def {name}\b|class {name}\b|{name} = )", code, re.MULTILINE), (path, name)
        assert not member or re.search(rf"^    (?:async )?def {member}\b", code, re.MULTILINE), (path, name, member)


def test_the_tests_that_the_security_page_names_exist() -> None:
    names = re.findall(r"`((?:\w+/)*test_\w+\.py)?(?:::)?(test_\w+)?`", (ROOT / "docs/security.md").read_text())
    names = [(file, test) for file, test in names if file or test]
    assert len(names) > 20
    last = ""
    for file, test in names:
        # A name alone is in the file that was named before it.
        last = file or last
        path = ROOT / "tests" / last
        assert path.is_file(), last
        assert not test or re.search(rf"^(?:async )?def {test}\(", path.read_text(), re.MULTILINE), (last, test)
