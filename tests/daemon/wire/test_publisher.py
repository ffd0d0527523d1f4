"""Which subscriber gets which event, and what a slow subscriber loses."""

from __future__ import annotations

import json

import pytest

from ser_daemon.wire.publisher import Filter, Publisher


class Reader:
    """A subscriber that reads only when `read` is called."""

    def __init__(self, publisher: Publisher) -> None:
        self.woken = 0
        self.cut_off = 0
        self.subscription = publisher.subscribe(self.wake, self.overflow)

    def wake(self) -> None:
        self.woken += 1

    def overflow(self) -> None:
        self.cut_off += 1

    def read(self) -> list[dict]:
        lines = []
        while (line := self.subscription.pop()) is not None:
            lines.append(json.loads(line)["data"])
        return lines


def test_sequence_numbers_grow_by_one_from_one(started, stopped):
    publisher = Publisher()
    reader = Reader(publisher)
    assert [publisher.publish(event) for event in (started, stopped, started)] == [1, 2, 3]
    assert [line["seq"] for line in reader.read()] == [1, 2, 3]
    assert reader.woken == 3


def test_a_full_queue_loses_its_oldest_partials_and_counts_them(emotion, started, stopped):
    publisher = Publisher(queue_size=4)
    reader = Reader(publisher)
    for event in (started, emotion(), emotion(), emotion(), emotion(final=True), stopped):
        publisher.publish(event)
    lines = reader.read()
    assert [(line["seq"], line.get("dropped", 0)) for line in lines] == [(1, 0), (4, 2), (5, 0), (6, 0)]
    assert publisher.metrics["events_dropped"] == 2


def test_dropped_accounts_for_every_gap_in_the_numbers(emotion, started):
    publisher = Publisher(queue_size=5)
    reader = Reader(publisher)
    read = []
    for step in range(200):
        publisher.publish(started if step % 9 == 0 else emotion())
        if step % 23 == 0:
            read += reader.read()
    read += reader.read()
    before = 0
    for line in read:
        assert line["seq"] - before - 1 == line.get("dropped", 0)
        before = line["seq"]
    assert any("dropped" in line for line in read)


def test_a_partial_for_a_queue_full_of_finals_is_dropped(emotion, started):
    publisher = Publisher(queue_size=2)
    reader = Reader(publisher)
    for event in (started, emotion(final=True), emotion()):
        publisher.publish(event)
    assert not reader.cut_off
    reader.subscription.pop()
    publisher.publish(started)
    assert [(line["seq"], line.get("dropped", 0)) for line in reader.read()] == [(2, 0), (4, 1)]


def test_a_subscriber_whose_queue_is_full_without_a_partial_is_cut_off_once(emotion, started, stopped):
    publisher = Publisher(queue_size=2)
    slow, healthy = Reader(publisher), Reader(publisher)
    for event in (started, emotion(final=True), stopped, started):
        publisher.publish(event)
        healthy.read()
    assert (slow.cut_off, slow.read()) == (1, [])
    assert healthy.cut_off == 0
    assert publisher.metrics["subscribers"] == 1
    assert publisher.metrics["subscribers_cut_off"] == 1


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (Filter(), [1, 2, 3, 4]),
        (Filter(events=("emotion",)), [2, 3]),
        (Filter(partial=False), [1, 3, 4]),
        (Filter(min_confidence=0.5), [1, 2, 4]),
        (Filter(events=()), []),
    ],
)
def test_a_subscriber_gets_the_events_that_match_its_filter(emotion, started, stopped, wanted, seqs):
    publisher = Publisher()
    reader = Reader(publisher)
    reader.subscription.filter = wanted
    for event in (started, emotion(), emotion(final=True, confidence=0.4), stopped):
        publisher.publish(event)
    lines = reader.read()
    assert [line["seq"] for line in lines] == seqs
    assert not any("dropped" in line for line in lines)


def test_a_listener_in_the_process_gets_the_numbered_event(started):
    publisher, received = Publisher(), []
    publisher.add_listener(received.append)
    publisher.publish(started)
    assert received == [started.numbered(1)]


def test_a_closed_subscription_gets_nothing_and_may_be_closed_again(started):
    publisher = Publisher()
    reader = Reader(publisher)
    reader.subscription.close()
    reader.subscription.close()
    publisher.publish(started)
    assert reader.read() == []
