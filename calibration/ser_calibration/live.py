"""Record silence and speech from the microphone, in memory only."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ser_calibration.microphone import MIN_VOICED_SECONDS
from ser_daemon.audio_config import AudioConfig
from ser_daemon.sources import AudioSource, make_source
from ser_model.errors import SerError
from ser_model.gate import Gate
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechEnded

SILENCE_SECONDS = 10.0
"""Length of the silence that is asked for."""

SPEECH_SECONDS = 30.0
"""Longest wait for somebody to say something."""

_ENOUGH_VOICED_SECONDS = 2.0 * MIN_VOICED_SECONDS
_STALL_SECONDS = 5.0

Tell = Callable[[str, bool], None]
"""Shows a line: its text, and whether the next one may replace it."""


def record(config: AudioConfig, tell: Tell) -> tuple[str, Samples, Samples]:
    """Return the device's name, the silence and the speech (int16, 16 kHz).

    Raises:
        SerError: The device can't be used, gives nothing, or nobody spoke.
    """
    source = make_source(config)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: measure recordings with --from instead.")
    source.open()
    try:
        tell(f"Microphone: {source.name}", False)
        silence = _silence(source, tell)
        speech = _speech(source, tell)
    finally:
        source.close()
    return source.name, silence, speech


def _silence(source: AudioSource, tell: Tell) -> Samples:
    tell(f"Be quiet for {SILENCE_SECONDS:.0f} seconds, please.", False)
    gate = Gate()
    taken: list[Samples] = []
    heard = 0
    while heard < SILENCE_SECONDS * SAMPLE_RATE:
        samples = _next(source)
        gate.push(Block(samples, heard))
        taken.append(samples)
        heard += len(samples)
        left = max(0.0, SILENCE_SECONDS - heard / SAMPLE_RATE)
        tell(f"{left:4.0f} s left, level {gate.level_dbfs:4.0f} dBFS", True)
    return np.concatenate(taken)


def _speech(source: AudioSource, tell: Tell) -> Samples:
    tell("Now say a long sentence or two, as you would speak to the assistant.", False)
    gate = Gate()
    taken: list[Samples] = []
    heard, voiced, total = 0, 0, 0
    while heard < SPEECH_SECONDS * SAMPLE_RATE:
        samples = _next(source)
        taken.append(samples)
        events = gate.push(Block(samples, heard))
        heard += len(samples)
        for event in events:
            if isinstance(event, SpeechAudio):
                voiced = event.voiced
            elif isinstance(event, SpeechEnded):
                total, voiced = total + event.voiced, 0
        tell(f"{(total + voiced) / SAMPLE_RATE:4.1f} s of speech, level {gate.level_dbfs:4.0f} dBFS", True)
        if total >= _ENOUGH_VOICED_SECONDS * SAMPLE_RATE:
            break
    return np.concatenate(taken)


def _next(source: AudioSource) -> Samples:
    """Return the next samples that are not empty."""
    give_up = time.monotonic() + _STALL_SECONDS
    while time.monotonic() < give_up:
        chunk = source.read()
        if chunk is None:
            break
        if len(chunk.samples):
            return chunk.samples
    raise SerError(f"{source.name} gives no audio: check that it is connected and not muted.")
