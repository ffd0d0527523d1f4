"""Processor time without waits: of an update by the length of its utterance, and of recordings as fast as they go."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from measuring.runs import READ_MS
from measuring.signals import RATE, Samples, unbroken_speech
from ser_model import Recognizer, read_audio
from ser_model.config import DecisionConfig
from ser_model.network.estimator import Model
from ser_model.recognizer import Analyzer
from ser_model.types import SpeechAudio, SpeechStarted

LENGTHS = (1.0, 3.0, 10.0, 30.0, 60.0)
"""Seconds of an utterance up to an update."""

T = TypeVar("T")

PASSES = 3
NEIGHBOURS = 3
"""Updates that count for a length: the one at that length, and those before it."""

LEAST_SECONDS = 3.0
"""Processor time of one measurement of the speed; shorter recordings are repeated."""


def update_costs() -> dict[float, float]:
    """Return the processor time in ms of an update, with the features since the one before, by length in s.

    The read in which an update falls also carries the features of the speech since the last one, so the cost is that
    of half a second of speech behind the gate.
    """
    speech, block, update = unbroken_speech(LENGTHS[-1]), RATE * READ_MS // 1000, DecisionConfig().update_ms / 1000
    analyzer = Analyzer(Model.load())
    costs: dict[int, list[float]] = {}
    for number in range(PASSES + 1):
        analyzer.push(SpeechStarted(number + 1, 0))
        spent = 0.0
        for start in range(0, len(speech), block):
            event = SpeechAudio(number + 1, speech[start : start + block], start, start + block)
            begun = time.thread_time()
            results = analyzer.push(event)
            spent += time.thread_time() - begun
            if results and number > 0:
                costs.setdefault(round((start + block) / RATE / update - 0.5), []).append(spent * 1000)
            spent = 0.0 if results else spent
    return {length: _at(costs, round(length / update)) for length in LENGTHS}


def _at(costs: dict[int, list[float]], update: int) -> float:
    """Return the median for an update and those before it."""
    near = [cost for number in range(update - NEIGHBOURS + 1, update + 1) for cost in costs.get(number, ())]
    return float(np.median(near))


def speed_of_recognizer(recordings: Sequence[Path]) -> float:
    """Return hours of audio that the complete recognizer processes in a minute of one core."""

    def start() -> Callable[[Samples], object]:
        recognizer = Recognizer()

        def process(samples: Samples) -> None:
            recognizer.push(samples)
            recognizer.finish()

        return process

    return _speed(start, recordings)


def speed_of_opensmile(recordings: Sequence[Path]) -> float:
    """Return the same for eGeMAPSv02, the functionals of each recording."""

    def start() -> Callable[[Samples], object]:
        import opensmile

        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
        return lambda samples: smile.process_signal(samples.astype(np.float32) / 32768, RATE)

    return _speed(start, recordings)


def in_process(measure: Callable[..., T], *arguments: object) -> T:
    """Return the result of a function in a fresh process, whose memory and threads end with it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def _speed(start: Callable[[], Callable[[Samples], object]], recordings: Sequence[Path]) -> float:
    sounds = [read_audio(path) for path in recordings]
    process = start()
    process(sounds[0])
    heard, begun = 0.0, time.process_time()
    while (spent := time.process_time() - begun) < LEAST_SECONDS:
        for samples in sounds:
            process(samples)
            heard += len(samples) / RATE
    return heard / 3600 / (spent / 60)
