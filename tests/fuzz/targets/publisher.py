"""The publisher: order, drops and bounds of every subscriber's queue, against a model of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from fuzz.invariants import require
from fuzz.strategies import odd_texts
from fuzz.target import register
from ser_daemon.wire.events import PUBLISHED, AudioState, Emotion, Event, VoiceStarted, VoiceStopped
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Filter, Publisher, Subscription

SIZE = 5


@dataclass(eq=False)
class Subscriber:
    """A subscription, and what it must hold."""

    subscription: Subscription
    wanted: list[Event] = field(default_factory=list)
    """Matching events since the last change of the filter, without those read."""
    overflows: int = 0
    closed: bool = False


def make_event(kind: str, confidence: float, text: str) -> Event:
    """An event of a kind."""
    match kind:
        case "partial" | "final":
            return Emotion(
                utterance_id=text,
                final=kind == "final",
                label="sad",
                confidence=confidence,
                scores={"sad": confidence},
                start=0,
                end=1,
                timestamp=1,
                time=text,
                latency_ms=1.0,
                voiced_ms=1,
            )
        case "started":
            return VoiceStarted(utterance_id=text, timestamp=1, time="")
        case "stopped":
            return VoiceStopped(utterance_id=text, timestamp=1, time="")
    return AudioState(state=CaptureState.LISTENING, reason=text)


def is_partial(event: Event) -> bool:
    """Whether the event may be dropped."""
    return isinstance(event, Emotion) and not event.final


confidences = st.sampled_from([0.0, 0.3, 0.7, 1.0])
kinds = st.sampled_from(["partial", "partial", "partial", "final", "started", "stopped", "state"])
steps = st.one_of(
    st.tuples(st.just("publish"), st.lists(kinds, min_size=1, max_size=8), confidences, odd_texts),
    st.tuples(st.just("publish"), st.lists(kinds, min_size=1, max_size=8), confidences, odd_texts),
    st.tuples(st.just("subscribe")),
    st.tuples(st.just("read"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(
        st.just("filter"),
        st.integers(0, 9),
        st.lists(st.sampled_from(PUBLISHED), max_size=4),
        st.booleans(),
        confidences,
    ),
    st.tuples(st.just("close"), st.integers(0, 9)),
)


@register("publisher", st.lists(steps, max_size=30), quick=200, seconds=2.0)
def check_publisher(example: list[Any]) -> None:
    """A subscriber gets what matches, in order; only partial emotions are dropped, and each is counted."""
    publisher = Publisher(SIZE)
    subscribers: list[Subscriber] = []
    for step in example:
        match step:
            case ("subscribe",) if len(subscribers) < 6:
                subscribers.append(_subscribe(publisher))
            case ("publish", names, confidence, text):
                for name in names:
                    _publish(publisher, subscribers, make_event(name, confidence, text))
            case ("subscribe",):
                pass
            case (_, index, *rest) if subscribers:
                _act(subscribers[index % len(subscribers)], step[0], rest)
        for one in subscribers:
            require(len(one.subscription) <= SIZE, "queue over its bound", str(len(one.subscription)))
            require(one.overflows == (one.closed and one.overflows), "overflow told again")
    for one in subscribers:
        _read(one, SIZE + 1)
        require(one.closed or not [event for event in one.wanted if not is_partial(event)], "event lost")


def _subscribe(publisher: Publisher) -> Subscriber:
    def overflow() -> None:
        one.overflows += 1
        one.closed = True

    one = Subscriber(publisher.subscribe(lambda: None, overflow))
    return one


def _publish(publisher: Publisher, subscribers: list[Subscriber], event: Event) -> None:
    number = publisher.publish(event)
    for one in subscribers:
        if not one.closed and one.subscription.filter.matches(event):
            one.wanted.append(event.numbered(number))


def _act(one: Subscriber, action: str, rest: list[Any]) -> None:
    match action:
        case "read":
            _read(one, rest[0])
        case "filter" if not one.closed:
            one.subscription.clear()
            one.subscription.filter = Filter(tuple(rest[0]), rest[1], rest[2])
            one.wanted.clear()
        case "close":
            one.subscription.close()
            one.closed = True


def _read(one: Subscriber, count: int) -> None:
    for _ in range(count):
        line = one.subscription.pop()
        if line is None:
            return
        require(not one.closed, "event after the end", repr(line[:80]))
        data = json.loads(line)["data"]
        lost = data.get("dropped", 0)
        skipped, one.wanted = one.wanted[:lost], one.wanted[lost:]
        require(all(map(is_partial, skipped)), "final or state dropped", repr(skipped)[:200])
        require(one.wanted, "event out of nowhere", repr(line[:80]))
        expected = one.wanted.pop(0)
        require(data["seq"] == expected.seq, "order or drops wrong", f"{data['seq']} for {expected.seq}")
