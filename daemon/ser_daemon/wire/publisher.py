"""From one publisher to many subscribers, each with a bounded queue of its own.

Everything here runs on the thread of the event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ser_daemon.wire.encoding import encode
from ser_daemon.wire.events import PUBLISHED, Emotion, Event

QUEUE_SIZE = 256
"""Events that may wait for a subscriber: over a minute of uninterrupted speech, and under 200 KiB."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a subscriber gets."""

    events: tuple[str, ...] = PUBLISHED
    partial: bool = True
    """Whether emotions that are not final are wanted."""
    min_confidence: float = 0.0
    """Emotions with a lower confidence, final or not, are left out."""

    def matches(self, event: Event) -> bool:
        """Return whether the subscriber gets this event."""
        if event.type not in self.events:
            return False
        if isinstance(event, Emotion):
            return event.confidence >= self.min_confidence and (event.final or self.partial)
        return True


@dataclass(slots=True)
class _Entry:
    line: bytes
    partial: bool
    dropped: int


class Subscription:
    """One subscriber's queue of encoded lines.

    When the queue is full, its oldest partial emotion is dropped. No other event is ever dropped: where no
    partial emotion is queued, the subscription is closed and `on_overflow` is called.
    """

    def __init__(
        self,
        publisher: Publisher,
        size: int,
        on_event: Callable[[], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self.filter = Filter()
        self._publisher = publisher
        self._size = size
        self._on_event = on_event
        self._on_overflow = on_overflow
        self._queue: deque[_Entry] = deque()
        self._partials = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, line: bytes, partial: bool) -> None:
        """Queue a line, or drop a partial emotion where the queue is full, and call `on_event`."""
        if len(self._queue) >= self._size:
            if self._partials:
                self._drop_oldest_partial()
            elif partial:
                self._count_drop()
                return
            else:
                self.close()
                self._publisher.cut_off += 1
                self._on_overflow()
                return
        self._queue.append(_Entry(line, partial, self._dropped))
        self._partials += partial
        self._dropped = 0
        self._on_event()

    def pop(self) -> bytes | None:
        """Remove and return the oldest line, with the number of events lost directly before it; None when empty."""
        if not self._queue:
            return None
        entry = self._queue.popleft()
        self._partials -= entry.partial
        if entry.dropped:
            # The line was encoded once for all subscribers. It ends with two braces and a newline.
            return entry.line[:-3] + b',"dropped":%d}}\n' % entry.dropped
        return entry.line

    def clear(self) -> None:
        """Drop everything queued."""
        self._queue.clear()
        self._partials = 0
        self._dropped = 0

    def close(self) -> None:
        """Get no more events. Can be called again."""
        self.clear()
        self._publisher.remove(self)

    def _drop_oldest_partial(self) -> None:
        index = next(i for i, entry in enumerate(self._queue) if entry.partial)
        lost = self._queue[index].dropped
        del self._queue[index]
        self._partials -= 1
        if index < len(self._queue):
            self._queue[index].dropped += lost + 1
        else:
            self._dropped += lost + 1
        self._publisher.dropped += 1

    def _count_drop(self) -> None:
        self._dropped += 1
        self._publisher.dropped += 1


class Publisher:
    """Numbers events and queues each for the subscribers that want it; never waits for a subscriber."""

    def __init__(self, queue_size: int = QUEUE_SIZE) -> None:
        self.seq = 0
        """Number of the last event published."""
        self.dropped = 0
        """Partial emotions that slow subscribers lost, in all."""
        self.cut_off = 0
        """Subscribers disconnected because they didn't read."""
        self._queue_size = queue_size
        self._subscriptions: dict[Subscription, None] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def publish(self, event: Event) -> int:
        """Number the event, queue it for the subscribers and return its number.

        Where a subscriber's socket has room, the line is written before this returns.
        """
        self.seq += 1
        event = event.numbered(self.seq)
        wanted = [subscription for subscription in self._subscriptions if subscription.filter.matches(event)]
        if wanted:
            line = encode(event.type, event.data())
            partial = isinstance(event, Emotion) and not event.final
            for subscription in wanted:
                subscription.offer(line, partial)
        for listener in tuple(self._listeners):
            listener(event)
        return self.seq

    def subscribe(self, on_event: Callable[[], None], on_overflow: Callable[[], None]) -> Subscription:
        """Add a subscriber.

        Args:
            on_event: called when a line was queued.
            on_overflow: called once, when the subscriber is too slow to be kept.
        """
        subscription = Subscription(self, self._queue_size, on_event, on_overflow)
        self._subscriptions[subscription] = None
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Queue no more events for a subscription; no error if it was removed already."""
        self._subscriptions.pop(subscription, None)

    def add_listener(self, listener: Callable[[Event], None]) -> None:
        """Call a function with every event after it was queued for the subscribers; a live view needs that."""
        self._listeners.append(listener)

    @property
    def metrics(self) -> dict[str, int]:
        """Counters by name."""
        return {
            "events_published": self.seq,
            "subscribers": len(self._subscriptions),
            "events_dropped": self.dropped,
            "subscribers_cut_off": self.cut_off,
        }
