"""The short forms of `make torture`: every bound holds.

Most rows wait: until a microphone that is gone is missed, until speech is over. These run some at a time, each with a
daemon and a sound server of its own. What measures milliseconds or keeps a processor busy runs alone, before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from support.torture import ROWS, Check, Unavailable

ALONE = ("clients", "hours")
LONG = ("hours", "clients", "server-late", "formats", "state-directory", "unplugged")
"""Over ten seconds."""
AT_ONCE = 4


def rows(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in names])


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Check]]]]:
    """What the rows give that are to be tested; all begin with the first one."""
    tests = [item for item in request.session.items if item.nodeid.startswith(f"{request.node.nodeid}::")]
    names = [item.callspec.params["name"] for item in tests if "measured" in item.fixturenames]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {name: pool.submit(ROWS[name], True) for name in sorted(names, key=lambda name: name not in LONG)}
    finally:
        pool.shutdown(cancel_futures=True)


def check(row: Callable[[], list[Check]]) -> None:
    try:
        checks = row()
    except Unavailable as reason:
        pytest.skip(str(reason))
    for one in checks:
        print(one)
    assert not [str(one) for one in checks if not one.ok]


@rows(list(ALONE))
def test_bounds_hold(name: str) -> None:
    check(lambda: ROWS[name](True))


@rows([name for name in ROWS if name not in ALONE])
def test_bounds_hold_side_by_side(name: str, measured: dict[str, Future[list[Check]]]) -> None:
    check(measured[name].result)
