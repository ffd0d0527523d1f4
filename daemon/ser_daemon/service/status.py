"""What the daemon is doing now: the answer to `status`, and the line that `systemctl status` shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ser_daemon.pipeline.capture_snapshot import CaptureSnapshot
from ser_daemon.service.engine import Engine
from ser_daemon.service.metrics import Metrics
from ser_daemon.views.text import describe_state
from ser_daemon.wire.events import AudioState, Event, VoiceStarted, VoiceStopped, to_ms
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.status import Status

_WITH_LEVELS = (CaptureState.LISTENING, CaptureState.DEGRADED, CaptureState.SILENT)
"""States in which the gate processes audio, so that its levels are current."""


class StatusBoard:
    """The state as last published, beside the capture thread's snapshot; event loop only."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.state = AudioState(state=CaptureState.STARTING, device=engine.config.audio.device)
        self._speaking = False
        self._engine = engine
        self._metrics = metrics
        self._changed = asyncio.Event()

    def event(self, event: Event) -> None:
        """Note a published event."""
        match event:
            case AudioState():
                self.state = event
                self._changed.set()
            case VoiceStarted():
                self._speaking = True
            case VoiceStopped():
                self._speaking = False

    def describe(self) -> str:
        """Describe the audio state: `listening on USB Mic`."""
        return describe_state(self.state.state, self.state.device, self.state.reason)

    def sentence(self) -> str:
        """Describe the audio state in a sentence: `Listening on USB Mic.`."""
        text = self.describe()
        return f"{text[0].upper()}{text[1:]}."

    async def wait_until(self, reached: Callable[[CaptureState], bool]) -> None:
        """Wait for an audio state."""
        while not reached(self.state.state):
            self._changed.clear()
            await self._changed.wait()

    def status(self) -> Status:
        """Return what `status` answers."""
        capture: CaptureSnapshot = self._engine.capture.snapshot
        adaptation = self._engine.adaptation
        levels = self.state.state in _WITH_LEVELS
        return Status(
            model=self._engine.model.name,
            labels=tuple(self._engine.model.labels),
            state=self.state.state,
            reason=self.state.reason,
            speaking=self._speaking,
            muted=capture.muted,
            held=time.monotonic() < capture.held_until,
            device=capture.device,
            uptime_seconds=self._metrics.uptime_seconds,
            timestamp=to_ms(capture.position),
            level_dbfs=capture.level_dbfs if levels else None,
            noise_floor_dbfs=capture.noise_floor_dbfs if levels else None,
            gain_db=capture.gain_db if levels else None,
            extra={
                "adaptation": adaptation.name,
                "adaptation_seconds": round(adaptation.seconds, 1),
                "taught": adaptation.taught,
            },
        )

    def metrics(self) -> dict[str, float | int]:
        """Return the counters that `metrics` answers, beside the server's own."""
        return self._metrics.snapshot(self._engine.capture.snapshot, self._engine.queue)
