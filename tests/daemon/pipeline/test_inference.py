"""The inference loop: results and states in order, with honest delays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ser_daemon.pipeline.inference import Inference, Outcome, TimedResult
from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import AudioStatus, Mark, SpeechQueue, UseAnalyzer
from ser_daemon.sources.base import Chunk
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
    """An analyzer that judges all audio so far at every piece."""

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


def run(
    queue: SpeechQueue,
    analyzer: Echo,
    now: float = 0.0,
    arrival_of: Callable[[int], float | None] = lambda position: None,
) -> list[Outcome]:
    out: list[Outcome] = []
    queue.close()
    Inference(queue, analyzer, out.append, arrival_of=arrival_of, now=lambda: now).run()
    return out


def test_results_and_states_come_out_in_the_order_in_which_they_arose() -> None:
    queue, mark = SpeechQueue(), Mark()
    muted = AudioStatus("muted", "mic")
    for item in (SpeechStarted(1, 5), audio(0), SpeechEnded(1, 1600, 0, "closed"), muted, mark):
        queue.put(item, arrival=0.0)
    kinds = [type(out.result if isinstance(out, TimedResult) else out) for out in run(queue, Echo())]
    assert kinds == [VoiceStarted, EmotionResult, VoiceStopped, AudioStatus, Mark]


@pytest.mark.parametrize(("lag", "latency"), [(0, 0.05), (1, 0.05), (1600, 0.15), (3200, 0.25)])
def test_the_delay_counts_from_the_arrival_of_the_last_sample_judged(lag: int, latency: float) -> None:
    queue = SpeechQueue()
    clock = SampleClock()
    queue.put(SpeechStarted(1, 0), arrival=10.0)
    for i in range(3):
        clock.place(Chunk(np.zeros(1600, np.int16), 10.0 + i / 10), live=False)
        queue.put(audio(1600 * i), arrival=10.0 + i / 10)
    last = run(queue, Echo(lag=lag), now=10.25, arrival_of=clock.arrival_of)[-1]
    assert isinstance(last, TimedResult)
    assert last.latency == pytest.approx(latency)


def test_another_analyzer_takes_over_where_it_was_put_into_the_queue() -> None:
    queue = SpeechQueue()
    for utterance, analyzer in ((1, None), (2, Echo("sad"))):
        if analyzer is not None:
            queue.put(UseAnalyzer(analyzer), arrival=0.0)
        queue.put(SpeechStarted(utterance, 0), arrival=0.0)
        queue.put(audio(0, utterance), arrival=0.0)
    labels = [
        out.result.label
        for out in run(queue, Echo("calm"))
        if isinstance(out, TimedResult) and isinstance(out.result, EmotionResult)
    ]
    assert labels == ["calm", "sad"]
