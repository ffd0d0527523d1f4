"""A `ser-wyoming` that several tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("wyoming")


@pytest.fixture(scope="module")
def bridge() -> Iterator[object]:
    """Return a running service on a Unix socket."""
    from support.wyoming_bridge import WyomingBridge

    with WyomingBridge() as running:
        yield running
