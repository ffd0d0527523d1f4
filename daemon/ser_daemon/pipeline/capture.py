"""The capture thread's loop: it alone opens, reads and closes the source, and it runs the gate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from ser_daemon.backoff import Backoff
from ser_daemon.pipeline.gate_stage import GateStage, SpeechGate
from ser_daemon.pipeline.health import SourceHealth
from ser_daemon.pipeline.inbox import Inbox
from ser_daemon.pipeline.speech_queue import SpeechAnalyzer, SpeechQueue
from ser_daemon.pipeline.state_reporter import StateReporter
from ser_daemon.sources.base import AudioSource, Chunk, DeviceError, DeviceLost

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds between attempts to open a device that failed; see `Backoff`."""

IDLE_ROUND = 0.5
"""Longest wait in seconds while the device is closed, so that the watchdog sees the loop come round."""

READ_ALLOWANCE = 5.0
"""Seconds that a read may take: sound servers do stop for a while, and go on. A longer one hangs in C for good."""

OPEN_ALLOWANCE = 8.0
"""Seconds that opening a device may take: PortAudio asks every sound card for all it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """How the capture loop treats its source."""

    patient: bool = True
    """Wait for a device that is missing at the start (a service does), instead of giving up."""
    frame_deadline: float = 1.5
    """Seconds without audio after which an open device counts as lost."""
    silent_after: float = 60.0
    """Seconds of digital zeros after which the state is `silent`."""


class Capture:
    """Reads a source and puts the gate's events, and its own states, into the speech queue.

    `run` is the thread; the methods that return a future may be called from anywhere and are carried out
    between two reads.
    """

    def __init__(
        self,
        source: AudioSource,
        hearing: GateStage,
        queue: SpeechQueue,
        settings: CaptureSettings,
        *,
        muted: bool = False,
        on_open: Callable[[Capture], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        inbox: Inbox | None = None,
        arrived: Callable[[str], bool] = lambda device: False,
    ) -> None:
        """Prepare to capture.

        Args:
            source: opened by `run`, not before.
            hearing: where chunks go.
            queue: where states go.
            settings: see there.
            muted: start without touching the device.
            on_open: called, in the thread of `run`, whenever the source was opened: its name is known then.
            now: a monotonic clock in seconds.
            inbox: how commands arrive.
            arrived: tells, while the device of that name is missing, whether it may have come since the last call.
        """
        self.source = source
        self.hearing = hearing
        self.health = SourceHealth(settings.silent_after)
        self.muted = muted
        self.progress = 0
        """Grows with every round of the loop; the supervisor watches it."""
        self.reopened = 0
        """Times that a device came back after a failure."""
        self._queue = queue
        self._settings = settings
        self._on_open = on_open
        self._now = now
        self._inbox = inbox or Inbox()
        self._arrived = arrived
        self._reporter = StateReporter(queue, hearing.clock, source.name)
        self._held_until = -math.inf
        self._running = True
        self._open = False
        self._opening = False
        self._fresh = True
        """The source has given no samples since it was opened."""
        self._worked = False
        """The source has given samples at some time."""
        self._last_audio = 0.0
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)

    # Commands: any thread.

    def mute(self) -> Future[None]:
        """Close the device and end the open utterance; a source that ends is read on, unheard."""
        return self._inbox.put(self._mute)

    def unmute(self) -> Future[None]:
        """Open the device again."""
        return self._inbox.put(self._unmute)

    def hold(self, ms: int | None) -> Future[None]:
        """Ignore what is heard, for `ms` or (None) until `release`; the device stays open."""
        until = math.inf if ms is None else self._now() + ms / 1000
        return self._inbox.put(lambda: self._hold(until))

    def release(self) -> Future[None]:
        """Listen again."""
        return self._inbox.put(lambda: self._hold(-math.inf))

    def exchange(
        self,
        settings: CaptureSettings,
        *,
        gate: SpeechGate | None = None,
        analyzer: SpeechAnalyzer | None = None,
        source: AudioSource | None = None,
    ) -> Future[None]:
        """End the open utterance and go on with other settings, and with what else is given."""
        return self._inbox.put(lambda: self._exchange(settings, gate, analyzer, source))

    def stop(self) -> Future[None]:
        """End the open utterance, close the source and leave `run`."""
        return self._inbox.put(self._stop)

    @property
    def allowance(self) -> float:
        """Seconds that the present round may take, for the supervisor."""
        if not self.source.live:
            # The writer of a pipe may be silent for as long as it likes.
            return math.inf
        # Some sound servers take seconds over the first samples of a stream.
        starting = self._opening or (self._open and self._fresh)
        return OPEN_ALLOWANCE if starting else max(READ_ALLOWANCE, self._settings.frame_deadline + IDLE_ROUND)

    @property
    def frame_deadline(self) -> float:
        """Seconds that the present round may take before subscribers are to know of it; infinite where it may."""
        heard = self.source.live and self._open and not self._fresh
        return self._settings.frame_deadline if heard else math.inf

    def repeat_state(self) -> Future[None]:
        """Tell the state again as soon as the loop comes round: somebody else has told another one meanwhile."""
        return self._inbox.put(self._reporter.forget)

    def abandon(self) -> None:
        """End the open utterance in place of a thread that hangs in C; the process is about to end."""
        self.hearing.end_utterance()
        self._queue.close()

    @property
    def held(self) -> bool:
        """What is heard is ignored for now."""
        return self._now() < self._held_until

    # The thread.

    def run(self) -> None:
        """Capture until stopped or until the source ends.

        Raises:
            SerError: the file or stdin cannot be read, or the device is missing and nobody is patient.
        """
        if self.muted:
            self._announce("muted")
        try:
            while self._running:
                self.progress += 1
                self._inbox.run_all()
                if self._running:
                    self._round()
        finally:
            self.hearing.end_utterance()
            self._close()
            self._queue.close()

    def _round(self) -> None:
        if self.muted and self.source.live:
            self._inbox.wait(IDLE_ROUND)
        elif self._open:
            self._read()
        elif (wait := self._backoff.wait(self._now())) > 0:
            self._inbox.wait(min(wait, IDLE_ROUND))
            if self._arrived(self.source.name):
                self._backoff.hurry()
        else:
            self._try_open()

    def _try_open(self) -> None:
        self._opening = True
        try:
            self.source.open()
        except DeviceError as error:
            if not self._settings.patient and not self._worked:
                raise
            self._device_failed(error)
            return
        finally:
            # In this order: the supervisor must not measure the opening with the allowance of a read.
            self.progress += 1
            self._opening = False
        self._open = self._fresh = True
        self._last_audio = self._now()
        if self._on_open is not None:
            self._on_open(self)
        if not self.source.live:
            self._announce_hearing()

    def _read(self) -> None:
        try:
            chunk = self.source.read()
            if chunk is not None:
                self._check_deadline(chunk)
        except DeviceError as error:
            self._device_failed(error)
            return
        if chunk is None:
            self._running = False
        elif len(chunk.samples):
            self._hear(chunk)

    def _check_deadline(self, chunk: Chunk) -> None:
        """A device that answers but gives no audio is as lost as one that does not answer."""
        now = self._now()
        if len(chunk.samples):
            self._last_audio = now
        elif self.source.live and now - self._last_audio > self._settings.frame_deadline:
            raise DeviceLost(
                f"The device '{self.source.name}' has given no audio for {self._settings.frame_deadline:g} s."
            )

    def _hear(self, chunk: Chunk) -> None:
        live, fresh = self.source.live, self._fresh
        block = self.hearing.hear(chunk, live=live, reopened=fresh, ignore=self.muted or self.held)
        if live:
            overflowed = chunk.overflowed or (block.lost > 0 and not fresh)
            self.health.note(block, overflowed=overflowed, dropped=self._queue.dropped)
        # Only audio proves that a device works: some open without complaint and fail at every read.
        if self._backoff.failures:
            self.reopened += 1
        self._backoff.reset()
        self._fresh, self._worked = False, True
        self._announce_hearing()

    def _device_failed(self, error: DeviceError) -> None:
        self.hearing.end_utterance()
        self._close()
        delay = self._backoff.failed(self._now())
        # From here on counts what arrives; what is there now was no help.
        self._arrived(self.source.name)
        self._announce("no-device", str(error), round(delay * 1000))

    def _close(self) -> None:
        self._open = False
        self.source.close()
        self.health.restart()

    def _announce_hearing(self) -> None:
        if self.muted:
            self._announce("muted")
        elif self.held:
            self._announce("held")
        else:
            self._announce(*self.health.verdict())

    def _announce(self, state: str, reason: str | None = None, retry_in_ms: int | None = None) -> None:
        self._reporter.tell(self.source.name, state, reason, retry_in_ms)

    # Commands: this thread.

    def _mute(self) -> None:
        self.muted = True
        self.hearing.end_utterance()
        if self.source.live:
            self._close()
        self._announce("muted")

    def _unmute(self) -> None:
        self.muted = False
        self._backoff.reset()
        if self._open:
            self._announce_hearing()
        else:
            self._announce("starting")

    def _hold(self, until: float) -> None:
        self._held_until = until
        if self.held:
            self.hearing.end_utterance()
        if self._open and not (self.source.live and self._fresh):
            self._announce_hearing()

    def _exchange(
        self,
        settings: CaptureSettings,
        gate: SpeechGate | None,
        analyzer: SpeechAnalyzer | None,
        source: AudioSource | None,
    ) -> None:
        self.hearing.exchange(gate, analyzer)
        self._settings = settings
        self.health = SourceHealth(settings.silent_after, self.health.overflows)
        if source is not None:
            self._close()
            self.source = source
            self._backoff.reset()

    def _stop(self) -> None:
        self._running = False
