"""The capture thread: it alone opens, reads and closes the source, and it runs the gate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future

from ser_daemon.pipeline.capture_snapshot import CaptureSnapshot
from ser_daemon.pipeline.gate_stage import GateStage, SpeechGate
from ser_daemon.pipeline.health import SourceHealth
from ser_daemon.pipeline.mailbox import Mailbox
from ser_daemon.pipeline.source_reader import IDLE_SECONDS, CaptureSettings, Phase, SourceReader
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.pipeline.state_reporter import StateReporter
from ser_daemon.sources.base import AudioSource, Chunk, DeviceError
from ser_daemon.wire.protocol import CaptureState


class Capture:
    """Reads a source and queues the gate's events and the audio states.

    `run` is the thread. `submit`, and the commands made with it, may be called from any thread; the thread runs them
    between two reads.
    """

    def __init__(
        self,
        source: AudioSource,
        gate_stage: GateStage,
        queue: SpeechQueue,
        settings: CaptureSettings,
        *,
        muted: bool = False,
        gate_for: Callable[[str], SpeechGate | None] = lambda device: None,
        now: Callable[[], float] = time.monotonic,
        mailbox: Mailbox | None = None,
        arrived: Callable[[str], bool] = lambda device: False,
    ) -> None:
        """Prepare to capture.

        Args:
            source: opened by `run`, not before.
            gate_stage: processes the chunks.
            queue: takes the audio states.
            settings: see there.
            muted: start without opening the device.
            gate_for: called on the thread of `run` with the name of a device that was opened; returns the gate to
                use from then on, `None` to keep the current one.
            now: monotonic clock in seconds.
            mailbox: takes the commands.
            arrived: see `SourceReader`.
        """
        self.progress = 0
        """Rounds of the loop so far; the supervisor watches it."""
        self._gate_stage = gate_stage
        self._queue = queue
        self._gate_for = gate_for
        self._now = now
        self._mailbox = mailbox or Mailbox()
        self._reader = SourceReader(source, settings, now=now, arrived=arrived)
        self._health = SourceHealth(settings.silent_after)
        self._reporter = StateReporter(queue, gate_stage.clock, source.name)
        self._muted = muted
        self._held_until = -math.inf
        self._running = True
        self.snapshot = self._snapshot()
        """The values at the end of the last round or command."""

    # For any thread.

    def submit(self, action: Callable[[], None]) -> Future[None]:
        """Run an action on the capture thread; the future completes when it has run and `snapshot` shows its effect."""

        def run() -> None:
            action()
            self.snapshot = self._snapshot()

        return self._mailbox.submit(run)

    def mute(self) -> Future[None]:
        """Close the device and end the open utterance. A file or pipe is read on, but ignored."""
        return self.submit(self._mute)

    def unmute(self) -> Future[None]:
        """Open the device again."""
        return self.submit(self._unmute)

    def hold(self, ms: int | None) -> Future[None]:
        """Ignore the audio for `ms`, or until `release` where it is None; the device stays open."""
        until = math.inf if ms is None else self._now() + ms / 1000
        return self.submit(lambda: self._hold(until))

    def release(self) -> Future[None]:
        """End a hold."""
        return self.submit(lambda: self._hold(-math.inf))

    def report_state_again(self) -> Future[None]:
        """Report the state at the next opportunity: somebody else has reported another one meanwhile."""
        return self.submit(self._reporter.forget)

    def stop(self) -> Future[None]:
        """End the open utterance, close the source and leave `run`."""
        return self.submit(self._stop)

    def abandon(self) -> None:
        """End the open utterance in place of a thread that hangs; the process is about to end."""
        self._gate_stage.end_utterance()
        self._queue.close()

    @property
    def allowance(self) -> float:
        """Seconds that the present round may take, for the supervisor."""
        return self._reader.allowance

    @property
    def frame_deadline(self) -> float:
        """Seconds that the present round may take before subscribers are told; infinite where no audio is due."""
        return self._reader.frame_deadline

    @property
    def is_opening(self) -> bool:
        """Whether the thread waits for a device to open, or for its first samples."""
        return self._reader.phase in (Phase.OPENING, Phase.STARTING)

    # The capture thread.

    def run(self) -> None:
        """Capture until stopped or until the source ends.

        Raises:
            SerError: the file or stdin cannot be read, or the device is missing and `patient` is false.
        """
        if self._muted:
            self._report(CaptureState.MUTED)
        try:
            while self._running:
                self.progress += 1
                self._mailbox.run_pending()
                if self._running:
                    self._round()
                    self.snapshot = self._snapshot()
        finally:
            self._gate_stage.end_utterance()
            self._reader.close()
            self._mailbox.close()
            self._queue.close()

    def reconfigure(self, settings: CaptureSettings, gate: SpeechGate | None, source: AudioSource | None) -> None:
        """End the open utterance and continue with other settings; on the capture thread only.

        `None` keeps the current gate; likewise the source.
        """
        if gate is None:
            self._gate_stage.end_utterance()
        else:
            self._gate_stage.use_gate(gate)
        self._reader.settings = settings
        self._health = SourceHealth(settings.silent_after, self._health.overflows)
        if source is not None:
            self._reader.replace_source(source)

    def _round(self) -> None:
        reader = self._reader
        if self._muted and reader.source.live:
            self._mailbox.wait(IDLE_SECONDS)
        elif reader.is_open:
            self._read()
        elif (wait := reader.retry_wait()) > 0:
            self._mailbox.wait(min(wait, IDLE_SECONDS))
            reader.check_arrival()
        else:
            self._open()

    def _open(self) -> None:
        error = self._reader.open()
        # A new round begins before the phase changes: else the supervisor would hold the opening to a read's allowance.
        self.progress += 1
        if error is not None:
            self._device_failed(error)
            return
        gate = self._gate_for(self._reader.source.name)
        if gate is not None:
            self._gate_stage.use_gate(gate)
        if not self._reader.source.live:
            self._report_open()

    def _read(self) -> None:
        try:
            chunk = self._reader.read()
        except DeviceError as error:
            self._device_failed(error)
            return
        if chunk is None:
            self._running = False
        elif len(chunk.samples):
            self._process(chunk)

    def _process(self, chunk: Chunk) -> None:
        live, reopened = self._reader.source.live, self._reader.phase == Phase.STARTING
        block = self._gate_stage.process(chunk, live=live, reopened=reopened, ignore=self._muted or self._is_held())
        if live:
            overflowed = chunk.overflowed or (block.lost > 0 and not reopened)
            self._health.add(block, overflowed=overflowed, dropped=self._queue.dropped)
        self._reader.audio_received()
        self._report_open()

    def _device_failed(self, error: DeviceError) -> None:
        self._gate_stage.end_utterance()
        delay = self._reader.fail()
        self._health.restart()
        self._report(CaptureState.NO_DEVICE, str(error), round(delay * 1000))

    def _is_held(self) -> bool:
        return self._now() < self._held_until

    def _report_open(self) -> None:
        if self._muted:
            self._report(CaptureState.MUTED)
        elif self._is_held():
            self._report(CaptureState.HELD)
        else:
            self._report(*self._health.state())

    def _report(self, state: CaptureState, reason: str | None = None, retry_in_ms: int | None = None) -> None:
        self._reporter.report(self._reader.source.name, state, reason, retry_in_ms)

    def _snapshot(self) -> CaptureSnapshot:
        return CaptureSnapshot.of(self._reader, self._gate_stage, self._health, self._muted, self._held_until)

    # Commands, on the capture thread.

    def _mute(self) -> None:
        self._muted = True
        self._gate_stage.end_utterance()
        if self._reader.source.live:
            self._reader.close()
            self._health.restart()
        self._report(CaptureState.MUTED)

    def _unmute(self) -> None:
        self._muted = False
        self._reader.retry_now()
        if self._reader.is_open:
            self._report_open()
        else:
            self._report(CaptureState.STARTING)

    def _hold(self, until: float) -> None:
        self._held_until = until
        if self._is_held():
            self._gate_stage.end_utterance()
        if self._reader.is_open and not (self._reader.source.live and self._reader.phase == Phase.STARTING):
            self._report_open()

    def _stop(self) -> None:
        self._running = False
