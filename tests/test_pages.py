"""Manual pages and completions in `share/` are what the parsers say: `make man` writes them."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support.commands import MODULES

ROOT = Path(__file__).resolve().parents[1]
SHARE = ROOT / "share"
NAMES = tuple(MODULES)
HOW = "the command line has changed: make man"


def load_pages() -> ModuleType:
    """Load release/pages.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "release/pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


pages = load_pages()


def words_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Long options and sub-commands."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield name
                yield from words_of(sub)


def test_every_command_has_a_page_and_three_completions() -> None:
    expected = {f"man/man1/{name}.1" for name in NAMES}
    expected |= {place.format(name) for place in pages.COMPLETIONS.values() for name in NAMES}
    assert {path.relative_to(SHARE).as_posix() for path in SHARE.rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_manual_page_is_what_the_parser_says(name: str) -> None:
    made = pages.manual_pages()[f"man/man1/{name}.1"]
    assert (SHARE / "man/man1" / f"{name}.1").read_text() == made, HOW


@pytest.mark.parametrize("name", NAMES)
def test_no_completion_lacks_an_option_or_a_sub_command(name: str) -> None:
    words = set(words_of(pages.command_parsers()[name]))
    for shell, place in pages.COMPLETIONS.items():
        text = (SHARE / place.format(name)).read_text()
        # fish names options without their dashes.
        known = set(re.findall(r"[\w-]+", text.replace("\\", "")))
        wanted = {word.removeprefix("--") for word in words} if shell == "fish" else words
        assert {word for word in wanted if word not in known and f"--{word}" not in known} == set(), f"{shell}: {HOW}"


def test_the_completions_are_what_the_tool_makes_of_the_parsers() -> None:
    try:
        version = importlib.metadata.version("shtab")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("shtab is not installed: pip install -e '.[dev]'")
    if f'"shtab=={version}"' not in (ROOT / "pyproject.toml").read_text():
        pytest.skip(f"shtab is {version}, which writes other completions")
    for name, text in pages.make().items():
        assert (SHARE / name).read_text() == text, f"{name}: {HOW}"


@pytest.mark.parametrize("name", NAMES)
def test_the_manual_page_is_accepted_by_groff(name: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff on this machine")
    page = SHARE / "man/man1" / f"{name}.1"
    done = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text()
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "FILES", "SEE ALSO"):
        assert f"\n.SH {section}\n" in text
