"""The health of a device by its samples: digital silence, and repeated losses."""

from __future__ import annotations

import logging
from collections import deque

from ser_daemon.wire.protocol import CaptureState
from ser_model.types import SAMPLE_RATE, Block

log = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds over which losses are counted, and between two log lines about them."""

PERSISTENT = 3
"""Losses within a period that make the state `degraded`; single losses happen on any machine."""


class SourceHealth:
    """Decides between `silent`, `degraded` and `listening`; its time is the arrival time of the blocks."""

    def __init__(self, silent_after: float, overflows: int = 0) -> None:
        self.overflows = overflows
        """Blocks before which samples were lost so far."""
        self._silent_after = silent_after
        self._zeros = 0
        self._losses: deque[float] = deque()
        self._logged = -PERIOD
        self._dropped = 0

    def restart(self) -> None:
        """Forget the earlier device."""
        self._zeros = 0
        self._losses.clear()

    def add(self, block: Block, *, overflowed: bool, dropped: int) -> None:
        """Add a block.

        Args:
            block: as placed on the clock.
            overflowed: samples went missing before it, in the device.
            dropped: samples that the speech queue has dropped so far.
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

    def state(self) -> tuple[CaptureState, str | None]:
        """Return the audio state, with a reason for a person where there is one."""
        if self._zeros >= self._silent_after * SAMPLE_RATE:
            return CaptureState.SILENT, (
                f"Nothing but digital zeros for {self._silent_after:g} s; is the microphone switched off in the mixer?"
            )
        if len(self._losses) >= PERSISTENT:
            return CaptureState.DEGRADED, (
                "Audio is lost again and again: the machine is too busy, or audio.latency_ms is too small."
            )
        return CaptureState.LISTENING, None

    def _log(self, block: Block, overflowed: bool) -> None:
        if block.arrival - self._logged < PERIOD:
            return
        self._logged = block.arrival
        if overflowed:
            log.warning("The device lost audio: about %d ms.", block.lost * 1000 // SAMPLE_RATE)
        else:
            log.warning("Recognition cannot keep up: the oldest waiting audio was dropped.")
