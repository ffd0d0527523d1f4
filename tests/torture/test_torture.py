"""The short forms of `make torture`: every bound holds.

Most scenarios spend their time waiting, so several run at once, each with its own daemon and sound server. Scenarios
that measure milliseconds or load the processor run alone, before the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from support.torture import SCENARIOS, Check, Unavailable

ALONE = ("clients", "hostile-clients", "hours")
LONG = (
    "hours",
    "clients",
    "hostile-clients",
    "answers-unread",
    "reload-hangs",
    "server-late",
    "formats",
    "state-directory",
    "unplugged",
)
"""Scenarios of more than 10 s."""
AT_ONCE = 4


def scenarios(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in names])


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Check]]]]:
    """Start all scenarios that are selected; yield their futures by name."""
    tests = [item for item in request.session.items if item.nodeid.startswith(f"{request.node.nodeid}::")]
    names = [item.callspec.params["name"] for item in tests if "measured" in item.fixturenames]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {name: pool.submit(SCENARIOS[name], True) for name in sorted(names, key=lambda name: name not in LONG)}
    finally:
        pool.shutdown(cancel_futures=True)


def check(scenario: Callable[[], list[Check]]) -> None:
    try:
        checks = scenario()
    except Unavailable as reason:
        pytest.skip(str(reason))
    for one in checks:
        print(one)
    assert not [str(one) for one in checks if not one.ok]


@pytest.mark.alone
@scenarios(list(ALONE))
def test_bounds_hold(name: str) -> None:
    check(lambda: SCENARIOS[name](True))


@scenarios([name for name in SCENARIOS if name not in ALONE])
def test_bounds_hold_side_by_side(name: str, measured: dict[str, Future[list[Check]]]) -> None:
    check(measured[name].result)
