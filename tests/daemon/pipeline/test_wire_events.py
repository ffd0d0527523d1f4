"""Results of the recognizer as events of the wire."""

from __future__ import annotations

import dataclasses

from ser_daemon.pipeline.wire_events import event_from_result
from ser_daemon.wire import events
from ser_model import types
from ser_model.affect import project
from ser_model.labels import LABELS


def test_the_start_and_end_of_speech_keep_their_place_and_time() -> None:
    started = event_from_result(types.VoiceStarted(utterance=17, timestamp=16_000), origin=1_795_337_040.0)
    assert started == events.VoiceStarted(utterance_id="u-17", timestamp=1000, time="2026-11-22T08:44:01.000Z")
    stopped = event_from_result(types.VoiceStopped(utterance=17, timestamp=24_000), origin=1_795_337_040.0)
    assert stopped == events.VoiceStopped(utterance_id="u-17", timestamp=1500, time="2026-11-22T08:44:01.500Z")


def test_an_emotion_is_converted_and_rounded() -> None:
    scores = {label: 1 / 3 if label == "sad" else 2 / 21 for label in LABELS}
    result = types.EmotionResult(
        utterance=3,
        final=True,
        label="unknown",
        reason="low-confidence",
        top="sad",
        confidence=1 / 3,
        scores=scores,
        start=16_000,
        end=48_000,
        timestamp=48_016,
        voiced=20_000,
        calibrated=True,
        snr_db=18.2649,
        clipping=True,
        activation=types.Activation("low", 0.123456),
    )
    event = event_from_result(result, origin=1_795_337_040.0, latency_ms=3.14159)
    assert isinstance(event, events.Emotion)
    assert (event.utterance_id, event.label, event.reason, event.top) == (
        "u-3",
        "unknown",
        "low-confidence",
        "sad",
    )
    assert (event.start, event.end, event.timestamp, event.voiced_ms) == (1000, 3000, 3001, 1250)
    assert (event.confidence, event.latency_ms) == (0.3333, 3.1)
    assert (event.calibrated, event.snr_db, event.clipping) == (True, 18.3, True)
    affect = project(scores)
    assert (event.arousal, event.valence) == (round(affect.arousal, 2), round(affect.valence, 2))
    assert event.activation == events.Activation(level="low", probability=0.1235)
    without = event_from_result(dataclasses.replace(result, activation=None), origin=0.0)
    assert isinstance(without, events.Emotion)
    assert without.activation is None
    assert event.time == "2026-11-22T08:44:03.001Z"
    assert list(event.scores) == list(LABELS)
