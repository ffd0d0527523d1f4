"""Reports the audio state, once per change, to subscribers and to the log."""

from __future__ import annotations

import logging
import time

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.sources.base import boot_time
from ser_daemon.wire.events import AudioState, to_ms, wall_time
from ser_daemon.wire.protocol import CaptureState

log = logging.getLogger(__name__)

TROUBLE = (CaptureState.NO_DEVICE, CaptureState.SILENT, CaptureState.DEGRADED)
"""States that need somebody's attention; they are logged as warnings."""


class StateReporter:
    """Puts audio states into the speech queue, behind the speech that came before them."""

    def __init__(self, queue: SpeechQueue, clock: SampleClock, device: str) -> None:
        self._queue = queue
        self._clock = clock
        self._last: tuple[CaptureState, str, str | None, int | None] | None
        """The state that subscribers know; None: another one than this thread's."""
        self._last = (CaptureState.STARTING, device, None, None)

    def forget(self) -> None:
        """Report the next state whatever it is: subscribers were told another one meanwhile."""
        self._last = None

    def report(
        self, device: str, state: CaptureState, reason: str | None = None, retry_in_ms: int | None = None
    ) -> None:
        """Report a state that differs from the last one. A new reason or delay alone is not logged."""
        last, self._last = self._last, (state, device, reason, retry_in_ms)
        if self._last == last:
            return
        event = AudioState(
            state=state,
            device=device,
            reason=reason,
            retry_in_ms=retry_in_ms,
            timestamp=None if self._clock.origin is None else to_ms(self._clock.position),
            time=wall_time(time.time()),
        )
        self._queue.put(event, arrival=boot_time())
        if last is None or (state, device) != last[:2]:
            level = logging.WARNING if state in TROUBLE else logging.INFO
            log.log(level, "Audio state: %s (%s)%s", state, device, f": {reason}" if reason else "")
