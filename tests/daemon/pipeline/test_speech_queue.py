"""The queue between capture and inference: bounded, and never without a start or an end."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ser_daemon.pipeline.speech_queue import Item, SpeechQueue
from ser_daemon.wire.events import AudioState
from ser_daemon.wire.protocol import CaptureState
from ser_model.types import SpeechAudio, SpeechEnded, SpeechStarted


def audio(start: int, n: int = 100) -> SpeechAudio:
    return SpeechAudio(1, np.zeros(n, np.int16), start, n)


def drain(queue: SpeechQueue) -> list[Item]:
    queue.close()
    items = []
    while (entry := queue.get()) is not None:
        items.append(entry[0])
    return items


def test_items_come_out_as_they_went_in_with_their_arrivals() -> None:
    queue = SpeechQueue()
    events: list[Item] = [
        SpeechStarted(1, 5),
        audio(0),
        AudioState(state=CaptureState.MUTED, device="mic"),
        SpeechEnded(1, 9, 4, "closed"),
    ]
    for i, event in enumerate(events):
        queue.put(event, arrival=float(i))
    assert [queue.get() for _ in events] == list(zip(events, [0.0, 1.0, 2.0, 3.0], strict=True))


def test_a_full_queue_drops_its_oldest_audio_and_counts_it() -> None:
    queue = SpeechQueue(capacity=300)
    queue.put(SpeechStarted(1, 0), arrival=0)
    for start in range(0, 600, 100):
        queue.put(audio(start), arrival=0)
    queue.put(SpeechEnded(1, 600, 600, "silence"), arrival=0)
    items = drain(queue)
    assert isinstance(items[0], SpeechStarted)
    assert [item.start for item in items if isinstance(item, SpeechAudio)] == [300, 400, 500]
    assert isinstance(items[-1], SpeechEnded)
    assert queue.dropped == 300


STEPS = st.sampled_from(["start", "audio", "end", "state", "get"])


@given(st.lists(STEPS, max_size=60), st.integers(1, 500))
def test_whatever_happens_only_audio_is_dropped_and_order_is_kept(script: list[str], capacity: int) -> None:
    queue = SpeechQueue(capacity)
    put: list[Item] = []
    out: list[Item] = []
    for i, step in enumerate(script):
        if step == "get":
            if queue.waiting:  # a get on an empty queue would wait
                entry = queue.get()
                assert entry is not None
                out.append(entry[0])
            continue
        items: dict[str, Item] = {
            "start": SpeechStarted(i, i),
            "audio": audio(i),
            "end": SpeechEnded(i, i, 0, "silence"),
            "state": AudioState(state=CaptureState.LISTENING, device=f"mic {i}"),
        }
        put.append(items[step])
        queue.put(items[step], arrival=0.0)
        assert queue.waiting <= max(capacity, 100)
    out += drain(queue)
    survivors = {id(item) for item in out}
    assert [id(item) for item in put if id(item) in survivors] == [id(item) for item in out]
    lost = [item for item in put if id(item) not in survivors]
    assert all(isinstance(item, SpeechAudio) for item in lost)
    assert queue.dropped == 100 * len(lost)


def test_a_source_that_can_wait_waits_for_room_and_loses_nothing() -> None:
    queue = SpeechQueue(capacity=200)

    def write() -> None:
        for start in range(0, 5000, 100):
            queue.put(audio(start), arrival=0, wait=True)
        queue.close()

    writer = threading.Thread(target=write)
    writer.start()
    starts = []
    while (entry := queue.get()) is not None:
        assert isinstance(entry[0], SpeechAudio)
        starts.append(entry[0].start)
    writer.join(5)
    assert starts == list(range(0, 5000, 100))
    assert queue.dropped == 0


def test_a_reader_waiting_on_an_empty_queue_is_woken_by_its_end() -> None:
    queue = SpeechQueue()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(queue.get()))
    reader.start()
    queue.close()
    reader.join(5)
    assert got == [None]
