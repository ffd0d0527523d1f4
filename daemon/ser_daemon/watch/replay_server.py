"""Serves a recording on a socket, so that a client can be tried without a daemon and a microphone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from ser_daemon.wire.events import AudioState, Event, Hello, VoiceStarted, VoiceStopped
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.server import Server, Status
from ser_model.errors import SerError

QUEUE_SIZE = 65_536
"""Events that may wait for a client: a recording is finite, and with `--fast` it comes at once."""

SETTLE_SECONDS = 0.3
"""Time from the first client's connection to the first event, in which the client may send its `subscribe`."""

DRAIN_SECONDS = 10.0
"""Time that clients get to read what is queued when the recording is over."""


class _NoControl:
    """Refuses the control verbs: there is nothing to control."""

    async def _refuse(self, *_values: object) -> NoReturn:
        raise SerError("This is a recording that `ser-watch --replay` plays; it takes no commands.")

    mute = unmute = hold = release = reload = reset_adaptation = _refuse

    async def label(self, utterance_id: str, label: str) -> Mapping[str, object]:
        """Refuse."""
        return await self._refuse()

    async def taught(self, start: int | None) -> Mapping[str, object]:
        """Refuse."""
        return await self._refuse()


class ReplayServer:
    """A server that speaks the daemon's protocol, with the recorded events under their own numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._publisher = Publisher(QUEUE_SIZE)
        self._status = Status(model="unknown", state=CaptureState.LISTENING)
        self._server = Server(self._publisher, _NoControl(), lambda: self._status)
        self._connected = False

    async def start(self) -> None:
        """Listen; both events and requests are served here.

        Raises:
            SocketError: the socket cannot be made.
        """
        await self._server.start(self._path, self._path, {})

    async def send(self, event: Event | None) -> None:
        """Send an event to all clients; the first event waits for the first client."""
        if event is None:
            return
        if isinstance(event, Hello):
            self._note(event)
            return
        await self._wait_for_client()
        self._note(event)
        self._publisher.seq = event.seq - 1
        self._publisher.publish(replace(event, dropped=0))

    async def close(self, *, drain: bool) -> None:
        """Disconnect the clients; with `drain` after they have read what is queued."""
        await self._server.close(DRAIN_SECONDS if drain else 0.5)

    async def _wait_for_client(self) -> None:
        while not self._connected:
            await asyncio.sleep(0.01)
            if self._server.metrics["clients"]:
                await asyncio.sleep(SETTLE_SECONDS)
                self._connected = True

    def _note(self, event: Event) -> None:
        status = self._status
        match event:
            case Hello():
                status.version = event.server.removeprefix("ser-daemon ")
                status.model, status.labels = event.model, tuple(event.labels)
                status.state, status.device = event.state, event.device
                status.speaking, status.muted = event.speaking, event.muted
                self._publisher.seq = event.seq
            case AudioState():
                status.state, status.reason = event.state, event.reason
                status.muted = event.state == CaptureState.MUTED
            case VoiceStarted():
                status.speaking = True
            case VoiceStopped():
                status.speaking = False
        status.timestamp = getattr(event, "timestamp", None) or status.timestamp
