"""Every target with examples that are always the same, and the kept cases. `make fuzz` uses new ones, for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import targets
from fuzz.engine import Runner, cases, load, missing
from fuzz.target import TARGETS, Finding, Target

assert targets

UNMENDED: dict[str, str] = {}
"""Targets with a fault that is not mended yet."""


def parameters() -> list[object]:
    """All targets."""
    marks = {name: pytest.mark.xfail(strict=False, reason=reason) for name, reason in UNMENDED.items()}
    return [pytest.param(one, id=name, marks=marks.get(name, ())) for name, one in TARGETS.items()]


@pytest.mark.parametrize("target", parameters())
def test_no_generated_example_breaks_what_must_hold(target: Target) -> None:
    if reason := missing(target):
        pytest.skip(reason)
    runner = Runner(target)
    try:
        runner.generate(target.quick, shrink=False)
    finally:
        runner.close()


def kept() -> list[object]:
    """All cases of the corpus."""
    marks = {name: pytest.mark.xfail(strict=False, reason=reason) for name, reason in UNMENDED.items()}
    return [
        pytest.param(one, path, id=f"{name}-{path.stem}", marks=marks.get(name, ()))
        for name, one in TARGETS.items()
        for path in cases(one)
    ]


@pytest.mark.parametrize(("target", "path"), kept())
def test_a_kept_case_breaks_nothing_any_more(target: Target, path: Path) -> None:
    if reason := missing(target):
        pytest.skip(reason)
    runner = Runner(target)
    try:
        runner.check(load(path))
    except Finding as finding:
        pytest.fail(f"{path.name}: {finding}", pytrace=False)
    finally:
        runner.close()
