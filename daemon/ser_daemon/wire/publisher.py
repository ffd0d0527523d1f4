"""From one publisher to many subscribers, each behind a bounded queue of its own.

Everything here belongs to one thread: the event loop's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ser_daemon.wire.events import PUBLISHED, Emotion, Event
from ser_daemon.wire.framing import encode

QUEUE_SIZE = 256
"""Events a subscriber may lag behind: over a minute of uninterrupted speech, and under 200 KiB."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber asked for."""

    events: tuple[str, ...] = PUBLISHED
    partial: bool = True
    """Whether emotions that are not final are wanted."""
    min_confidence: float = 0.0
    """Emotions below this confidence, final or not, are not wanted."""

    def wants(self, event: Event) -> bool:
        """Tell whether the subscriber gets this event."""
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

    When it is full, the oldest partial emotion makes room; nothing else is ever dropped silently: with no
    partial left, the subscription is closed and `on_overflow` called.
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
        """Queue a line, making room where that is allowed, and wake the reader."""
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
        """Take out the oldest line, with what was lost directly before it; None when there is none."""
        if not self._queue:
            return None
        entry = self._queue.popleft()
        self._partials -= entry.partial
        if entry.dropped:
            # Spliced in: the line was encoded once for all; it ends with two braces and a newline.
            return entry.line[:-3] + b',"dropped":%d}}\n' % entry.dropped
        return entry.line

    def clear(self) -> None:
        """Forget what is queued."""
        self._queue.clear()
        self._partials = 0
        self._dropped = 0

    def close(self) -> None:
        """Get nothing any more. Can be called again."""
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
    """Numbers events and hands each to everybody who wants it; never waits for anybody."""

    def __init__(self, queue_size: int = QUEUE_SIZE) -> None:
        self.seq = 0
        """Number of the last event published."""
        self.dropped = 0
        """Partial emotions that slow subscribers lost, all together."""
        self.cut_off = 0
        """Subscribers cut off because they didn't read."""
        self._queue_size = queue_size
        self._subscriptions: dict[Subscription, None] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def publish(self, event: Event) -> int:
        """Number the event, hand it out and return its number.

        A subscriber whose socket takes it gets the line written before this returns.
        """
        self.seq += 1
        event = event.numbered(self.seq)
        line = encode(event.type, event.data())
        partial = isinstance(event, Emotion) and not event.final
        for subscription in tuple(self._subscriptions):
            if subscription.filter.wants(event):
                subscription.offer(line, partial)
        for listener in tuple(self._listeners):
            listener(event)
        return self.seq

    def subscribe(self, on_event: Callable[[], None], on_overflow: Callable[[], None]) -> Subscription:
        """Add a subscriber.

        Args:
            on_event: called when the queue has something new.
            on_overflow: called once, when the subscriber is too slow to be kept.
        """
        subscription = Subscription(self, self._queue_size, on_event, on_overflow)
        self._subscriptions[subscription] = None
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Stop handing events to a subscription; no error if it is gone already."""
        self._subscriptions.pop(subscription, None)

    def add_listener(self, listener: Callable[[Event], None]) -> None:
        """Call a function of this process with every event, after the subscribers: a live view, say."""
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
