"""Constants of the protocol: its number, requests, error codes and states. Needs only the standard library."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

PROTOCOL = 1
"""Number of the protocol: within it, fields are only ever added."""

QUERIES = ("status", "metrics", "describe", "ping", "subscribe")
"""Requests that change nothing in the daemon; both sockets serve them."""

CONTROL_VERBS = ("mute", "unmute", "hold", "release", "reload", "reset-adaptation", "label", "taught")
"""Requests that only the control socket serves."""

ErrorCode = Literal[
    "bad-line",
    "line-too-long",
    "bad-framing",
    "bad-id",
    "bad-request",
    "unknown-type",
    "not-permitted",
    "failed",
    "slow-consumer",
    "too-many-clients",
]
"""Code of an `error` that the daemon sends; `docs/protocol.md` explains each."""


class CaptureState(StrEnum):
    """State of the audio capture, as `audio-state`, `hello` and `status` give it."""

    STARTING = "starting"
    """The device is not open yet."""
    LISTENING = "listening"
    MUTED = "muted"
    """The microphone is closed."""
    HELD = "held"
    """The microphone is open, and its audio is ignored for a while."""
    NO_DEVICE = "no-device"
    """The device is missing, or it failed; the daemon tries again."""
    SILENT = "silent"
    """The device gives nothing but digital zeros."""
    DEGRADED = "degraded"
    """Audio is lost again and again."""
    STOPPING = "stopping"
    """The daemon ends."""

    @classmethod
    def _missing_(cls, value: object) -> CaptureState | None:
        """Accept a state that only a newer daemon knows, so that an older client can still read and show it."""
        if not isinstance(value, str):
            return None
        state = str.__new__(cls, value)
        state._name_ = state._value_ = value
        return state
