"""The bridge: results of the daemon to the message bus, and the assistant's own speech to the daemon."""

from __future__ import annotations

import contextlib

from ser_bridges.command import together
from ser_bridges.daemon import Daemon
from ser_bridges.ovos.address import BusAddress
from ser_bridges.ovos.bus import Bus
from ser_bridges.ovos.hold import Hold
from ser_daemon.client import AudioState, Emotion, Event, Hello
from ser_model.errors import SerError

EMOTION = "ser.emotion"
"""Type of the message after each utterance."""

MICROPHONE = "ser.microphone"
"""Type of the message when the state of the microphone changes, and when the bus is connected."""

SPEECH_BEGINS, SPEECH_ENDS = "recognizer_loop:audio_output_start", "recognizer_loop:audio_output_end"
"""What Open Voice OS sends around each answer that it speaks."""


class Bridge:
    """One daemon on one message bus.

    Args:
        daemon: see there.
        address: of the bus.
        echo_ms: milliseconds of audio to ignore after the assistant has spoken; None: it is never held.
    """

    def __init__(self, daemon: Daemon, address: BusAddress, echo_ms: int | None) -> None:
        self._daemon = daemon
        self._hold = None if echo_ms is None else Hold(daemon, echo_ms)
        handlers = {} if self._hold is None else {SPEECH_BEGINS: self._hold.begin, SPEECH_ENDS: self._hold.end}
        self._bus = Bus(address, handlers, self._bus_changed)
        self._connected = False
        self._microphone: dict[str, object] = {"state": "unavailable"}

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            SerError: the daemon's socket is not for us.
        """
        parts = [self._follow(), self._bus.run()]
        await together(*parts, *([] if self._hold is None else [self._hold.run()]))

    async def _follow(self) -> None:
        stream = self._daemon.follow(partial=False, on_lost=self._daemon_lost)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Hello():
                self._set_microphone(event.state, event.device, None)
                if self._hold is not None:
                    self._hold.again()
            case AudioState():
                self._set_microphone(event.state, event.device, event.reason)
            case Emotion() if event.final:
                self._bus.send(EMOTION, event.data())

    def _daemon_lost(self, error: SerError) -> None:
        self._set_microphone("unavailable", None, str(error))

    def _set_microphone(self, state: str, device: str | None, reason: str | None) -> None:
        content = {"state": str(state), "device": device, "reason": reason}
        self._microphone = {name: value for name, value in content.items() if value is not None}
        if self._connected:
            self._bus.send(MICROPHONE, self._microphone)

    def _bus_changed(self, connected: bool) -> None:
        self._connected = connected
        if connected:
            self._bus.send(MICROPHONE, self._microphone)
        elif self._hold is not None:
            self._hold.end()
