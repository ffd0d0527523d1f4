"""What the samples themselves say about a device: digital silence, and losses that do not stop."""

from __future__ import annotations

import logging
from collections import deque

from ser_model.types import SAMPLE_RATE, Block

log = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds over which losses are counted, and between two log lines about them."""

PERSISTENT = 3
"""Losses within a period from which the state is `degraded`; single ones happen on any machine."""


class SourceHealth:
    """Tells `silent` and `degraded` from `listening`, on the time at which the blocks arrived."""

    def __init__(self, silent_after: float, overflows: int = 0) -> None:
        self.overflows = overflows
        """Blocks before which samples were lost, in all."""
        self._silent_after = silent_after
        self._zeros = 0
        self._losses: deque[float] = deque()
        self._logged = -PERIOD
        self._dropped = 0

    def restart(self) -> None:
        """Forget what an earlier device did."""
        self._zeros = 0
        self._losses.clear()

    def note(self, block: Block, *, overflowed: bool, dropped: int) -> None:
        """Take a block into account.

        Args:
            block: as placed on the clock.
            overflowed: samples went missing before it, in the device.
            dropped: samples that the speech queue has dropped so far, in all.
        """
        self._zeros = 0 if block.samples.any() else self._zeros + len(block.samples)
        while self._losses and self._losses[0] < block.arrival - PERIOD:
            self._losses.popleft()
        if overflowed:
            self.overflows += 1
        if overflowed or dropped > self._dropped:
            self._losses.append(block.arrival)
            self._log(block, overflowed)
        self._dropped = dropped

    def verdict(self) -> tuple[str, str | None]:
        """The state, and the reason where there is something to say."""
        if self._zeros >= self._silent_after * SAMPLE_RATE:
            return "silent", (
                f"Nothing but digital zeros for {self._silent_after:g} s; is the microphone switched off in the mixer?"
            )
        if len(self._losses) >= PERSISTENT:
            return "degraded", (
                "Audio is lost again and again: the machine is too busy, or audio.latency_ms is too small."
            )
        return "listening", None

    def _log(self, block: Block, overflowed: bool) -> None:
        if block.arrival - self._logged < PERIOD:
            return
        self._logged = block.arrival
        if overflowed:
            log.warning("The device lost audio: about %d ms.", block.lost * 1000 // SAMPLE_RATE)
        else:
            log.warning("Recognition cannot keep up: the oldest waiting audio was dropped.")
