"""What is fuzzed: a generator of examples, and a check that every example must pass."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

ROOT = Path(__file__).resolve().parents[2]

HERE = Path(__file__).resolve().parent


class Finding(AssertionError):  # noqa: N818 - named as what it reports
    """An example for which something does not hold."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}"[:2000])
        self.code = code
        """Short name; two findings with one code are taken for the same fault."""
        self.text = text


@dataclass(frozen=True, slots=True)
class Target:
    """A part of the program with a generator of its input.

    Examples are Python literals, so that a case can be kept as a readable file and replayed by any version.
    """

    name: str
    examples: SearchStrategy[Any]
    check: Callable[[Any], None]
    """Raises `Finding` where something does not hold. Any other exception is a finding too."""
    quick: int
    """Examples in `make test`."""
    isolated: bool = False
    """Whether the check runs in a child process with limits on memory and time."""
    seconds: float = 5.0
    """Processor time that one example may take; it may last six times as long."""
    megabytes: float = 96.0
    """Largest growth of resident memory in one example."""
    needs: str = ""
    """A module without which the target is skipped."""


TARGETS: dict[str, Target] = {}


def register(name: str, examples: SearchStrategy[Any], quick: int, **options: Any) -> Callable[[Any], Any]:
    """Register the decorated function as the check of a target."""

    def add(check: Callable[[Any], None]) -> Callable[[Any], None]:
        TARGETS[name] = Target(name, examples, check, quick, **options)
        return check

    return add


def unexpected(error: BaseException) -> Finding:
    """Make a finding of an exception that is not one sentence for a user."""
    if isinstance(error, Finding):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/ser_" in frame.filename] or list(frames)
    place = f"{Path(own[-1].filename).name} {own[-1].name}" if own else "nowhere"
    return Finding(f"{type(error).__name__} in {place}", str(error)[:300])
