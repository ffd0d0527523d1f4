"""The short forms of `make torture`: every bound holds."""

from __future__ import annotations

import pytest

from support.torture import ROWS, Unavailable

LONG = ("hours", "clients", "server-late", "formats", "state-directory", "unplugged")
"""Over ten seconds."""


@pytest.mark.parametrize("name", [pytest.param(row, marks=[pytest.mark.slow] * (row in LONG)) for row in ROWS])
def test_bounds_hold(name: str) -> None:
    try:
        checks = ROWS[name](True)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert not [str(check) for check in checks if not check.ok]
