"""Tells what the ears' state is: once per change, to subscribers and to the log."""

from __future__ import annotations

import logging

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import AudioStatus, SpeechQueue
from ser_daemon.sources.base import boot_time

log = logging.getLogger(__name__)

TROUBLE = ("no-device", "silent", "degraded")
"""States that somebody should do something about."""


class StateReporter:
    """Puts states into the speech queue, behind the speech that came before them."""

    def __init__(self, queue: SpeechQueue, clock: SampleClock, device: str) -> None:
        self.status = AudioStatus("starting", device)
        """What was told last."""
        self._queue = queue
        self._clock = clock

    def forget(self) -> None:
        """Take the next state for news, whatever it is."""
        self.status = AudioStatus("starting", self.status.device)

    def tell(self, device: str, state: str, reason: str | None = None, retry_in_ms: int | None = None) -> None:
        """Announce a state, if it is news; a new reason or delay is news, but not for the log."""
        position = None if self._clock.origin is None else self._clock.position
        known, self.status = self.status, AudioStatus(state, device, reason, retry_in_ms, position)
        if self.status == known:
            return
        self._queue.put(self.status, arrival=boot_time())
        if (state, device) != (known.state, known.device):
            level = logging.WARNING if state in TROUBLE else logging.INFO
            log.log(level, "Audio state: %s (%s)%s", state, device, f": {reason}" if reason else "")
