"""What waits for the broker: bounded, in order, and counted where it is lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_RESULTS = 500
"""Results of utterances that wait while the broker is away: two hours of talk with four utterances a minute, 0.5 MB."""

BUSY = 50
"""With so many messages waiting, partial results are left out: they are worthless when they are late."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the broker."""

    topic: str
    content: str | dict[str, Any]
    """Text, or an object that becomes JSON."""
    qos: int = 1
    retain: bool = False
    made: float = field(default_factory=time.monotonic)
    """Monotonic clock in seconds."""

    def payload(self, now: float) -> str:
        """Return the bytes' text; an object that waited says in `late_ms` for how long."""
        if isinstance(self.content, str):
            return self.content
        content = self.content
        if not self.retain:
            content = content | {"late_ms": max(0, round((now - self.made) * 1000))}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


class Outbox:
    """Messages in order; a state replaces the one before it, and results are kept while the broker is away."""

    def __init__(self, most_results: int = MOST_RESULTS) -> None:
        """Start empty."""
        self.online = False
        """Whether the broker takes messages now."""
        self.lost = 0
        """Results of utterances that were pushed out by later ones."""
        self.partials_dropped = 0
        self._most = most_results
        self._waiting: OrderedDict[object, Message] = OrderedDict()
        self._results: list[object] = []
        self._number = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def state(self, message: Message) -> None:
        """Add a state; only the latest of a topic is sent, so their number is that of the topics."""
        self._waiting.pop(message.topic, None)
        self._add(message.topic, message)

    def announce(self, messages: Sequence[Message]) -> None:
        """Add states before all that waits, in this order: who learns of a device then gets its results."""
        for message in reversed(messages):
            self._add(message.topic, message)
            self._waiting.move_to_end(message.topic, last=False)

    def result(self, message: Message) -> None:
        """Add the result of an utterance; the oldest goes where there are too many."""
        if len(self._results) >= self._most:
            self._waiting.pop(self._results.pop(0), None)
            self.lost += 1
        self._number += 1
        self._results.append(self._number)
        self._add(self._number, message)

    def partial(self, message: Message) -> None:
        """Add a partial result, or leave it out where it would wait."""
        if not self.online or len(self) >= BUSY:
            self.partials_dropped += 1
            return
        self._number += 1
        self._add(self._number, message)

    def drop_partials(self) -> None:
        """Leave out the partial results that wait: the broker is away."""
        results = set(self._results)
        for key in [key for key in self._waiting if isinstance(key, int) and key not in results]:
            del self._waiting[key]
            self.partials_dropped += 1

    async def first(self) -> tuple[object, Message]:
        """Wait for a message; return it and its key. It stays until `sent`."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        return next(iter(self._waiting.items()))

    def sent(self, key: object, message: Message) -> None:
        """Forget a message that the broker has taken; a state that has changed since stays."""
        if self._waiting.get(key) is message:
            del self._waiting[key]
        if self._results and self._results[0] == key:
            self._results.pop(0)

    def _add(self, key: object, message: Message) -> None:
        self._waiting[key] = message
        self._changed.set()
