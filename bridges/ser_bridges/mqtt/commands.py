"""Commands from the broker, and what they make the daemon do."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from ser_bridges.daemon import Daemon
from ser_model.errors import SerError
from ser_model.printable import printable

log = logging.getLogger(__name__)

LONGEST_HOLD = 3_600_000
"""Milliseconds: an hour, as the protocol allows."""


def read_command(name: str, payload: str) -> tuple[str, dict[str, object]]:
    """Return the control verb of a message and its data.

    Args:
        name: last part of the topic.
        payload: `ON` or `OFF` for `mute`, milliseconds or nothing for `hold`; otherwise it does not matter.

    Raises:
        SerError: there is no such command, or the payload is wrong.
    """
    match name, payload.strip():
        case "mute", "ON":
            return "mute", {}
        case "mute", "OFF":
            return "unmute", {}
        case "mute", _:
            raise SerError(f"The command mute has the payload {printable(payload, 300)!r}; expected ON or OFF.")
        case "hold", "":
            return "hold", {}
        case "hold", text:
            if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= LONGEST_HOLD):
                raise SerError(f"The command hold has {printable(payload, 300)!r}; expected 1 to {LONGEST_HOLD} ms.")
            return "hold", {"ms": int(text)}
        case (("release" | "reset-adaptation"), _):
            return name, {}
    raise SerError(f"There is no command {printable(name, 300)!r}.")


async def carry_out(message: Any, daemon: Daemon, allowed: Collection[str]) -> bool:
    """Have the daemon carry out a command; return whether it did. A refusal is logged."""
    name = str(message.topic).rpartition("/")[2]
    try:
        if message.retain:
            # It would be carried out again at each start.
            raise SerError(f"The command {name} is retained on the broker and is ignored; publish it without retain.")
        verb, data = read_command(name, bytes(message.payload or b"").decode(errors="replace"))
        if verb not in allowed:
            raise SerError(f"The command {verb} is not among `commands` in the settings.")
        await daemon.control(verb, **data)
    except SerError as error:
        log.warning("A command from the broker was not carried out: %s", error)
        return False
    log.info("Carried out a command from the broker: %s.", verb)
    return True
