"""The version names the commit of a checkout, or the one that a build kept."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ser_model import __version__, version

SOURCE = Path(version.__file__)
ROOT = Path(__file__).resolve().parents[2]


def commit_in(root: Path) -> str | None:
    """The commit that a package in this tree names."""
    package = root / "model" / "ser_model"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE, package)
    spec = importlib.util.spec_from_file_location("version_of_a_tree", package / "version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: str | None = module.commit()
    return found


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one commit."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").touch()
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "first")
    return tree


def test_a_checkout_has_its_commit_loose_packed_and_detached(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit_in(checkout) == head[:7]
    git(checkout, "pack-refs", "--all")
    assert not (checkout / ".git/refs/heads/main").exists()
    assert commit_in(checkout) == head[:7]
    git(checkout, "checkout", "-q", "--detach")
    assert commit_in(checkout) == head[:7]


def test_a_further_working_tree_has_its_own_commit(checkout: Path) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "other", "../other")
    other = checkout.parent / "other"
    (other / "new").touch()
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "second")
    assert commit_in(other) == git(other, "rev-parse", "HEAD")[:7]
    assert commit_in(checkout) == git(checkout, "rev-parse", "HEAD")[:7] != commit_in(other)


def test_an_installed_package_has_the_commit_that_its_build_kept(tmp_path: Path) -> None:
    package = tmp_path / "model" / "ser_model"
    package.mkdir(parents=True)
    (package / version.COMMIT_FILE).write_text("1a2b3c4\n")
    assert commit_in(tmp_path) == "1a2b3c4"


@pytest.mark.parametrize("content", ["", "ref: refs/heads/none\n", "ref: refs/heads/main", "what is this?", "\xff"])
def test_a_damaged_repository_is_no_failure(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_bytes(content.encode("latin-1"))
    assert commit_in(tmp_path) is None


def test_without_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_in(tmp_path) is None


def test_the_version_is_the_same_everywhere() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert re.fullmatch(re.escape(__version__) + r"(\+g[0-9a-f]{7})?", version.full_version())
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
