"""Which of ALSA's capture devices other programs hold.

PortAudio leaves a device that is held out of its list, as if it had been unplugged. The kernel knows better:
/proc/asound (Documentation/sound/designs/procfile.rst).
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
class HeldDevice:
    """A capture device that a program has open."""

    name: str
    """As PortAudio would list it: `CARD: DEVICE (hw:N,M)`."""
    pid: int
    program: str
    """The program's name; `a program` where it cannot be seen."""


def held_devices(proc: Path = Path("/proc")) -> list[HeldDevice]:
    """Every capture device that is open now; empty where the kernel's files cannot be read."""
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
                found.append(HeldDevice(full_name, pid, _program(proc, pid)))
    return found


def _program(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a program"
