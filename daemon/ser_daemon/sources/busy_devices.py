"""Find ALSA capture devices that are in use by other programs.

PortAudio omits a device in use from its list, as if it were unplugged. The kernel still lists it in /proc/asound
(Documentation/sound/designs/procfile.rst).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

_CARD = re.compile(r"^ *(\d+) \[.*?\]: .*? - (.*)$", re.MULTILINE)
_NAME = re.compile(r"^name: *(.*)$", re.MULTILINE)
_OWNER = re.compile(r"^owner_pid *: *(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BusyDevice:
    """A capture device in use."""

    name: str
    """Name as in PortAudio: `CARD: DEVICE (hw:N,M)`."""
    pid: int
    """Process that uses the device."""
    program: str
    """Name of the program, or `a program` if it cannot be read."""


def find_busy_devices(proc: Path = Path("/proc")) -> list[BusyDevice]:
    """Return the capture devices that are open now; empty if the kernel's files cannot be read."""
    found = []
    with contextlib.suppress(OSError):
        cards = dict(_CARD.findall((proc / "asound/cards").read_text()))
        for status in sorted(proc.glob("asound/card*/pcm*c/sub*/status")):
            pcm = status.parents[1]
            card, number = pcm.parent.name.removeprefix("card"), pcm.name[3:-1]
            owner, name = _OWNER.search(status.read_text()), _NAME.search((pcm / "info").read_text())
            if owner and name and card in cards:
                pid = int(owner[1])
                full_name = f"{cards[card]}: {name[1]} (hw:{card},{number})"
                found.append(BusyDevice(full_name, pid, _program(proc, pid)))
    return found


def _program(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a program"
