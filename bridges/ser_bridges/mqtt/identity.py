"""Names that stay: of the machine, the room, and the topics."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from ser_model.errors import SerError

MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))

ID_DIGITS = 12
"""Hexadecimal digits of a machine: two of a million machines have the same with a probability of 0.2 %."""

_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What Home Assistant takes as the id in a discovery topic."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one microphone, below `PREFIX/ROOM/ID`."""

    base: str
    config: str
    """Home Assistant's discovery of the device."""
    home_assistant: str
    """Where Home Assistant says `online` and `offline`."""

    @property
    def status(self) -> str:
        """Whether this bridge is connected to the broker: `online` or `offline`."""
        return f"{self.base}/status"

    @property
    def daemon(self) -> str:
        """Whether the bridge is connected to the daemon: `online` or `offline`."""
        return f"{self.base}/daemon"

    @property
    def utterance(self) -> str:
        """The final result of each utterance."""
        return f"{self.base}/utterance"

    @property
    def partial(self) -> str:
        """Results while somebody speaks."""
        return f"{self.base}/partial"

    @property
    def speaking(self) -> str:
        """`ON` while somebody speaks, `OFF` otherwise."""
        return f"{self.base}/speaking"

    @property
    def microphone(self) -> str:
        """State of the microphone."""
        return f"{self.base}/microphone"

    @property
    def mute(self) -> str:
        """`ON` while the microphone is muted, `OFF` otherwise."""
        return f"{self.base}/mute"

    @property
    def diagnostics(self) -> str:
        """Levels and counters."""
        return f"{self.base}/diagnostics"

    @property
    def states(self) -> tuple[str, ...]:
        """Topics whose last message the broker keeps."""
        return self.status, self.daemon, self.speaking, self.microphone, self.mute, self.diagnostics

    def command(self, name: str) -> str:
        """Return the topic of a command; `+` for that of all."""
        return f"{self.base}/command/{name}"


def make_topics(prefix: str, discovery_prefix: str, room: str, device: str) -> Topics:
    """Return the topics of a microphone.

    Raises:
        SerError: a part cannot be in a topic.
    """
    for name, part in (("topic_prefix", prefix), ("discovery_prefix", discovery_prefix)):
        if not part or part.startswith(("/", "$")) or part.endswith("/") or re.search(r"[+#\0\s]", part):
            raise SerError(f"{name} is {part!r}; expected a topic without spaces, +, #, and / at its ends.")
    return Topics(
        base=f"{prefix}/{room_topic(room)}/{device}",
        config=f"{discovery_prefix}/device/{device}/config",
        home_assistant=f"{discovery_prefix}/status",
    )


def room_topic(room: str) -> str:
    """Return a room's part of a topic: `Living room` becomes `living_room`.

    Raises:
        SerError: nothing is left of it.
    """
    part = re.sub(r"[^\w-]+", "_", room.casefold()).strip("_")[:64]
    if not part:
        raise SerError(f"room is {room!r}; expected a name with letters or digits, such as kitchen.")
    return part


def check_id(text: str) -> str:
    """Return an id that the user chose.

    Raises:
        SerError: Home Assistant would not take it.
    """
    if not _VALID_ID.fullmatch(text):
        raise SerError(f"id is {text!r}; expected 1 to 64 letters, digits, _ and -.")
    return text


def machine_id(files: tuple[Path, ...] = MACHINE_ID_FILES) -> str:
    """Return a number of this machine that stays, and from which machine-id(5) cannot be computed.

    Source: machine-id(5) asks programs not to publish the id itself but a keyed hash of it.

    Raises:
        SerError: the machine has no id.
    """
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if re.fullmatch(r"[0-9a-f]{32}", text):
            return hmac.new(bytes.fromhex(text), b"ser-daemon mqtt", hashlib.sha256).hexdigest()[:ID_DIGITS]
    raise SerError(f"This machine has no {files[0]}; name an id of your own with --id.")


def default_room() -> str:
    """Return the name of the machine."""
    return socket.gethostname().split(".")[0] or "home"
