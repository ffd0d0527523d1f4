"""The daemon's own server with scripted events behind it, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from ser_daemon.wire.events import Emotion, Event, VoiceStarted, VoiceStopped
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.server import Server, Status
from ser_model.errors import SerError
from ser_model.labels import LABELS
from support.patience import PATIENCE

WAIT = 30.0 * PATIENCE

TIME = "2026-11-22T08:44:04.124Z"


class Control:
    """Records the control verbs that it gets; refuses what `refusal` says."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.refusal: str | None = None

    def _note(self, call: object) -> None:
        if self.refusal is not None:
            raise SerError(self.refusal)
        self.calls.append(call)

    async def mute(self) -> None:
        self._note("mute")

    async def unmute(self) -> None:
        self._note("unmute")

    async def hold(self, ms: int | None) -> None:
        self._note(("hold", ms))

    async def release(self) -> None:
        self._note("release")

    async def reload(self) -> str:
        self._note("reload")
        return "Reloaded."

    async def reset_adaptation(self) -> str:
        self._note("reset-adaptation")
        return "Forgotten."

    async def label(self, utterance_id: str, label: str) -> dict[str, object]:
        self._note(("label", utterance_id, label))
        return {}

    async def taught(self, start: int | None) -> dict[str, object]:
        self._note("taught")
        return {}


class ScriptedDaemon:
    """A server on real sockets; a test publishes the events."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "ser.sock"
        self.control = Control()
        self.status = Status(state=CaptureState.LISTENING, model="m", device="USB Mic", labels=LABELS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedDaemon:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)

    def start(self) -> None:
        self._publisher = Publisher()
        self._server = Server(self._publisher, self.control, lambda: self.status, dict)
        control = self.socket.with_name("ser-control.sock")
        self._wait(asyncio.run_coroutine_threadsafe(self._server.start(self.socket, control, {}), self._loop))

    def stop(self) -> None:
        self._wait(asyncio.run_coroutine_threadsafe(self._server.close(), self._loop))

    def publish(self, *events: Event) -> None:
        for event in events:
            self._call(lambda event=event: self._publisher.publish(event))

    def utterance(self, number: int, label: str = "angry") -> None:
        """Publish an utterance."""
        self.publish(*utterance(number, label))

    def _call(self, action: Callable[[], object]) -> None:
        async def run() -> None:
            action()

        self._wait(asyncio.run_coroutine_threadsafe(run(), self._loop))

    @staticmethod
    def _wait(future: Future[Any]) -> None:
        future.result(WAIT)


def utterance(number: int, label: str = "angry") -> list[Event]:
    """Make the events of an utterance: its start, a partial result, the final one, its end."""
    name, at = f"u-{number}", number * 1000
    return [
        VoiceStarted(utterance_id=name, timestamp=at, time=TIME),
        emotion(name, label, final=False),
        emotion(name, label, final=True),
        VoiceStopped(utterance_id=name, timestamp=at + 900, time=TIME),
    ]


def emotion(utterance: str, label: str, *, final: bool, **changes: Any) -> Emotion:
    values: dict[str, Any] = {
        "utterance_id": utterance,
        "final": final,
        "label": label,
        "confidence": 0.58,
        "scores": {name: 0.58 if name == label else 0.06 for name in LABELS},
        "arousal": 0.53,
        "start": 0,
        "end": 900,
        "timestamp": 900,
        "time": TIME,
        "latency_ms": 3.1,
        "voiced_ms": 800,
    }
    return Emotion(**{**values, **changes})
