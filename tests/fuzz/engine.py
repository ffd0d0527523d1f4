"""Runs targets: checks examples, generates them, keeps and replays cases."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import pprint
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz.invariants import check_sentence, invariants
from fuzz.isolation import PATIENCE, Worker
from fuzz.target import HERE, Finding, Target, unexpected
from ser_model.errors import SerError

CORPUS = HERE / "corpus"

RECURSION_LIMIT = 980
"""Frames that an example may use: Python's limit of 1000 without those of the daemon's main function."""


_ONCE = ("descriptor leaked", "thread leaked", "takes much memory", "takes long")


class Runner:
    """Checks examples of one target and counts them."""

    def __init__(self, target: Target, seen: Callable[[Any, Finding], bool] = lambda example, finding: True) -> None:
        """Prepare.

        Args:
            target: what is checked.
            seen: called for each finding; returns whether it is raised.
        """
        self.target = target
        self.executions = 0
        self.last: tuple[Any, Finding] | None = None
        """The example of the last finding that was raised, and the finding."""
        self.seen = seen
        """Asked about each finding; whether it is raised."""
        self._worker = Worker(target) if target.isolated else None

    def check(self, example: Any) -> None:
        """Check one example, in the child process where the target has one."""
        self.executions += 1
        finding = self._worker.check(example) if self._worker is not None else check_here(self.target, example)
        if finding is not None and self.seen(example, finding):
            self.last = (example, finding)
            raise finding

    def generate(self, examples: int, number: int | None = None, *, shrink: bool = True) -> None:
        """Check so many generated examples; without a number always the same ones."""
        test = make_test(self, examples, shrink=shrink, fixed=number is None)
        (test if number is None else seed(number)(test))()

    def close(self) -> None:
        """End the child process."""
        if self._worker is not None:
            self._worker.close()


def make_test(runner: Runner, examples: int, *, shrink: bool = True, fixed: bool = False) -> Any:
    """Make the function that generates and checks examples; `fixed`: always the same ones."""
    # A child process that hangs or dies takes seconds: too long for the hundreds of tries of a shrinker.
    phases = [Phase.generate, *([Phase.shrink] if shrink and not runner.target.isolated else [])]
    chosen = settings(
        max_examples=examples,
        derandomize=fixed,
        database=None,
        deadline=None,
        phases=phases,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    return chosen(given(runner.target.examples)(lambda example: runner.check(example)))


def check_here(target: Target, example: Any) -> Finding | None:
    """Check one example in this process. A `SerError` is fine where it is one printable sentence."""
    finding = _check_once(target, example)
    # What a library loads or opens at its first use is no leak.
    return _check_once(target, example) if finding is not None and finding.code in _ONCE else finding


def _check_once(target: Target, example: Any) -> Finding | None:
    # Hypothesis raises the limit; the program runs with Python's default, about as far from it as here.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + RECURSION_LIMIT)
    before = {number: signal.signal(number, _stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_PROF, target.seconds)
    signal.setitimer(signal.ITIMER_REAL, target.seconds * PATIENCE)
    try:
        with invariants(target):
            try:
                target.check(example)
            except SerError as error:
                check_sentence(error)
    except Exception as error:
        return unexpected(error)
    except TooLong:
        return Finding("hangs", f"no end after {target.seconds:g} s")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.setrecursionlimit(limit)
    return None


class TooLong(BaseException):
    """The example takes too long; no `Exception`, so that the program under test does not catch it."""


def _stop(number: int, frame: object) -> None:
    raise TooLong


def matches(pattern: str, finding: Finding) -> bool:
    """Whether a finding's code matches a regular expression."""
    return re.search(pattern, finding.code) is not None


def missing(target: Target) -> str | None:
    """Say what a target lacks here; None: nothing."""
    if target.needs and importlib.util.find_spec(target.needs) is None:
        return f"{target.needs} is not installed (see the extras in pyproject.toml)"
    return None


def cases(target: Target) -> list[Path]:
    """Kept cases of a target."""
    return sorted((CORPUS / target.name).glob("*.txt"))


def load(path: Path) -> Any:
    """Read a case; the first lines are comments."""
    return ast.literal_eval(path.read_text(encoding="utf-8"))


def keep(target: Target, example: Any, finding: Finding) -> Path:
    """Write a case, and return its path."""
    text = pprint.pformat(example, width=110, sort_dicts=False)
    if ast.literal_eval(text) != example:
        text = repr(example)
    path = CORPUS / target.name / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = "".join(c if c.isprintable() else "?" for c in str(finding)[:100])
    path.write_text(f"# {comment}\n{text}\n", encoding="utf-8")
    return path
