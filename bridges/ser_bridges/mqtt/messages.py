"""From the daemon's events to MQTT messages: pure, but for the outbox that takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ser_bridges.mqtt.discovery import LABELS
from ser_bridges.mqtt.identity import Topics
from ser_bridges.mqtt.outbox import Message, Outbox
from ser_daemon.client import AudioState, CaptureState, Emotion, Event, Hello, VoiceStarted, VoiceStopped

_NOT_MUTED = (
    CaptureState.LISTENING,
    CaptureState.HELD,
    CaptureState.NO_DEVICE,
    CaptureState.SILENT,
    CaptureState.DEGRADED,
    CaptureState.STARTING,
)


class Publisher:
    """Knows the state of the daemon, and puts messages about it into the outbox."""

    def __init__(
        self,
        topics: Topics,
        room: str,
        outbox: Outbox,
        *,
        discovery: Callable[[Sequence[str]], dict[str, Any]] | None = None,
        partials: bool = False,
    ) -> None:
        """Start without a daemon.

        Args:
            topics: where messages go.
            room: named in every result.
            outbox: takes the messages.
            discovery: makes the discovery message from the labels; None: there is none.
            partials: whether partial results are sent, too.
        """
        self._topics = topics
        self._room = room
        self._outbox = outbox
        self._discovery = discovery
        self._partials = partials
        # The order in which they are sent: who learns of the device finds its states.
        self._states: dict[str, str | dict[str, Any]] = {}
        if discovery is not None:
            self._states[topics.config] = discovery(LABELS)
        self._states |= {
            topics.daemon: "offline",
            topics.speaking: "OFF",
            topics.microphone: {"state": "unavailable"},
        }

    def event(self, event: Event) -> None:
        """Publish what an event of the daemon says."""
        match event:
            case Hello():
                if self._discovery is not None and event.labels:
                    self._set(self._topics.config, self._discovery(event.labels))
                self._set(self._topics.mute, _switch(event.muted))
                self._set(self._topics.speaking, _switch(event.speaking))
                self._microphone(event.state, event.device, None)
                self._set(self._topics.daemon, "online")
            case VoiceStarted():
                self._set(self._topics.speaking, "ON")
            case VoiceStopped():
                self._set(self._topics.speaking, "OFF")
            case AudioState():
                if event.state is CaptureState.MUTED:
                    self._set(self._topics.mute, "ON")
                elif event.state in _NOT_MUTED:
                    self._set(self._topics.mute, "OFF")
                self._microphone(event.state, event.device, event.reason)
            case Emotion():
                self._emotion(event)

    def daemon_lost(self, reason: str) -> None:
        """Publish that the daemon is away; what it said last of mute stays, since a mute survives its restart."""
        self._set(self._topics.speaking, "OFF")
        self._set(self._topics.microphone, {"state": "unavailable", "reason": reason})
        self._set(self._topics.daemon, "offline")

    def diagnostics(self, status: dict[str, Any]) -> None:
        """Publish the daemon's answer to `status`, and the outbox's counts."""
        names = ("model", "level_dbfs", "noise_floor_dbfs", "uptime_seconds", "adaptation", "taught")
        counts = {"lost": self._outbox.lost, "partials_dropped": self._outbox.partials_dropped}
        content = {name: status.get(name) for name in names} | counts
        self._outbox.state(self._message(self._topics.diagnostics, content))

    def repeat(self) -> None:
        """Publish all states again: the broker or Home Assistant has restarted."""
        states = (*self._states.items(), (self._topics.status, "online"))
        self._outbox.announce([self._message(topic, content) for topic, content in states])

    def repeat_mute(self) -> None:
        """Publish the mute state again: a command failed, and a switch that was moved goes back."""
        if self._topics.mute in self._states:
            self._outbox.state(self._message(self._topics.mute, self._states[self._topics.mute]))

    def _emotion(self, event: Emotion) -> None:
        data = event.data()
        if event.final:
            # `event_type` is the key by which Home Assistant's event entity knows an event.
            content = {"event_type": event.label, "room": self._room, **data}
            self._outbox.result(Message(self._topics.utterance, content, qos=1))
        elif self._partials:
            self._outbox.partial(Message(self._topics.partial, {"room": self._room, **data}, qos=0))

    def _microphone(self, state: str, device: str | None, reason: str | None) -> None:
        content = {"state": str(state), "device": device, "reason": reason}
        self._set(self._topics.microphone, {name: value for name, value in content.items() if value is not None})

    def _set(self, topic: str, content: str | dict[str, Any]) -> None:
        """Publish a state if it has changed."""
        if self._states.get(topic) != content:
            self._states[topic] = content
            self._outbox.state(self._message(topic, content))

    def _message(self, topic: str, content: str | dict[str, Any]) -> Message:
        return Message(topic, content, qos=0 if topic == self._topics.diagnostics else 1, retain=True)


def _switch(on: bool) -> str:
    return "ON" if on else "OFF"
