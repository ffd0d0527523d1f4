"""Every target with examples that are always the same, and the kept cases. `make fuzz` uses new ones, for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import targets
from fuzz.engine import Runner, cases, load, missing
from fuzz.target import TARGETS, Finding, Target

assert targets


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_generated_example_breaks_what_must_hold(target: Target) -> None:
    if reason := missing(target):
        pytest.skip(reason)
    runner = Runner(target)
    try:
        runner.generate(target.quick, shrink=False)
    finally:
        runner.close()


KEPT = [(target, path) for target in TARGETS.values() for path in cases(target)]


@pytest.mark.parametrize(("target", "path"), KEPT, ids=[f"{one.name}-{path.stem}" for one, path in KEPT])
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
