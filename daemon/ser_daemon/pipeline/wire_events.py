"""From the recognizer's results to the events that subscribers read."""

from __future__ import annotations

from ser_daemon.wire.events import Activation, Emotion, Event, VoiceStarted, VoiceStopped, to_ms, wall_time
from ser_model import types
from ser_model.affect import project
from ser_model.labels import UNKNOWN


def event_from_result(result: types.Result, *, origin: float, latency_ms: float = 0.0) -> Event:
    """Convert a result to an event.

    Args:
        result: positions in samples.
        origin: Unix time in seconds of the sample clock's zero.
        latency_ms: from the arrival of the last sample used until now; only emotions carry it.
    """
    name = utterance_id(result.utterance)
    timestamp = to_ms(result.timestamp)
    time = wall_time(origin + result.timestamp / types.SAMPLE_RATE)
    match result:
        case types.VoiceStarted():
            return VoiceStarted(utterance_id=name, timestamp=timestamp, time=time)
        case types.VoiceStopped():
            return VoiceStopped(utterance_id=name, timestamp=timestamp, time=time)
    affect = project(result.scores)
    return Emotion(
        utterance_id=name,
        final=result.final,
        label=result.label,
        reason=result.reason,
        top=result.top if result.label == UNKNOWN else None,
        confidence=round(float(result.confidence), 4),
        scores={label: round(float(score), 4) for label, score in result.scores.items()},
        calibrated=result.calibrated,
        arousal=round(affect.arousal, 2),
        valence=round(affect.valence, 2),
        activation=_activation(result.activation),
        start=to_ms(result.start),
        end=to_ms(result.end),
        timestamp=timestamp,
        time=time,
        latency_ms=round(latency_ms, 1),
        voiced_ms=to_ms(result.voiced),
        snr_db=None if result.snr_db is None else round(result.snr_db, 1),
        clipping=result.clipping,
        adaptation=result.adaptation,
        taught=result.taught,
    )


def utterance_id(number: int) -> str:
    """Return the name of an utterance in all events about it."""
    return f"u-{number}"


def _activation(activation: types.Activation | None) -> Activation | None:
    if activation is None:
        return None
    return Activation(level=activation.level, probability=round(activation.probability, 4))
