"""What all connections to a server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ser_daemon.wire.line_writer import WaitingBytes
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.requests import RequestHandler
from ser_daemon.wire.turns import Turns

READ_SIZE = 4096
"""Bytes read from a client in one turn of the loop."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections to a server share."""

    handler: RequestHandler
    publisher: Publisher
    turns: Turns = field(default_factory=Turns)
    waiting: WaitingBytes = field(default_factory=WaitingBytes)
    received: bytearray = field(default_factory=lambda: bytearray(READ_SIZE))
    """Where bytes are received, and copied from at once."""
