"""The inference loop: events in order, with correct latencies."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ser_daemon.adaptation.session import AdaptationSession
from ser_daemon.pipeline.inference import Inference, Recognition
from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.sources.base import Chunk
from ser_daemon.wire import events
from ser_daemon.wire.events import AudioState, Emotion, Event
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.types import (
    EmotionResult,
    GateEvent,
    Result,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    VoiceStarted,
    VoiceStopped,
)


class Echo:
    """An analyzer that answers at every piece for all audio so far."""

    def __init__(self, label: str = "calm", lag: int = 0) -> None:
        self._label = label
        self._lag = lag

    def push(self, event: GateEvent) -> list[Result]:
        match event:
            case SpeechStarted():
                return [VoiceStarted(event.utterance, event.onset)]
            case SpeechAudio():
                end = event.start + len(event.samples)
                return [self._emotion(event.utterance, end - self._lag, end)]
            case SpeechEnded():
                return [VoiceStopped(event.utterance, event.offset)]

    def _emotion(self, utterance: int, end: int, now: int) -> EmotionResult:
        scores = dict.fromkeys(LABELS, 0.125)
        return EmotionResult(utterance, False, self._label, None, self._label, 0.125, scores, 0, end, now, 0)


def audio(start: int, utterance: int = 1) -> SpeechAudio:
    return SpeechAudio(utterance, np.zeros(1600, np.int16), start, 0)


def run(queue: SpeechQueue, analyzer: Echo, now: float = 0.0, clock: SampleClock | None = None) -> list[Event]:
    out: list[Event] = []
    queue.close()
    Inference(queue, recognition(analyzer), clock or SampleClock(), out.append, now=lambda: now).run()
    return out


def recognition(analyzer: Echo) -> Recognition:
    return Recognition(analyzer, AdaptationSession(None, None))


def test_results_and_states_come_out_in_the_order_in_which_they_arose() -> None:
    queue = SpeechQueue()
    muted = AudioState(state=CaptureState.MUTED, device="mic")
    for item in (SpeechStarted(1, 5), audio(0), SpeechEnded(1, 1600, 0, "closed"), muted):
        queue.put(item, arrival=0.0)
    assert [type(event) for event in run(queue, Echo())] == [
        events.VoiceStarted,
        Emotion,
        events.VoiceStopped,
        AudioState,
    ]


@pytest.mark.parametrize(("lag", "latency"), [(0, 0.05), (1, 0.05), (1600, 0.15), (3200, 0.25)])
def test_the_latency_counts_from_the_arrival_of_the_last_sample_used(lag: int, latency: float) -> None:
    queue = SpeechQueue()
    clock = SampleClock()
    queue.put(SpeechStarted(1, 0), arrival=10.0)
    for i in range(3):
        clock.place(Chunk(np.zeros(1600, np.int16), 10.0 + i / 10), live=False)
        queue.put(audio(1600 * i), arrival=10.0 + i / 10)
    last = run(queue, Echo(lag=lag), now=10.25, clock=clock)[-1]
    assert isinstance(last, Emotion)
    assert last.latency_ms == pytest.approx(latency * 1000)


def test_another_analyzer_takes_over_at_its_place_in_the_queue() -> None:
    queue = SpeechQueue()
    out: list[Event] = []
    inference = Inference(queue, recognition(Echo("calm")), SampleClock(), out.append)
    for utterance, analyzer in ((1, None), (2, Echo("sad"))):
        if analyzer is not None:
            queue.submit(partial(inference.use, recognition(analyzer)))
        queue.put(SpeechStarted(utterance, 0), arrival=0.0)
        queue.put(audio(0, utterance), arrival=0.0)
    queue.close()
    inference.run()
    assert [event.label for event in out if isinstance(event, Emotion)] == ["calm", "sad"]


def test_a_submitted_call_runs_behind_what_is_queued_and_fails_once_the_thread_has_ended() -> None:
    queue = SpeechQueue()
    out: list[Event] = []
    seen: list[int] = []
    queue.put(SpeechStarted(1, 5), arrival=0.0)
    done = queue.submit(lambda: seen.append(len(out)))
    given_up = queue.submit(lambda: seen.append(-1))
    assert given_up.cancel()
    queue.close()
    Inference(queue, recognition(Echo()), SampleClock(), out.append).run()
    assert (done.result(0), seen) == (None, [1])
    with pytest.raises(SerError, match="ending"):
        queue.submit(lambda: None).result(0)
