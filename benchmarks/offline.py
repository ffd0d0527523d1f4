"""Measure what recognition costs without the daemon: hours of audio a minute, and an update by the utterance's length.

Both are processor time of one thread, which all runs in. The speech is that of bench.py, without its pauses.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from ser_model.audio.files import read_audio
from ser_model.config import DecisionConfig
from ser_model.network.estimator import Model
from ser_model.recognizer import Analyzer, Recognizer
from ser_model.types import Samples, SpeechAudio, SpeechStarted, to_samples

sys.path.insert(0, str(Path(__file__).parent))

from measuring.signals import RATE, SPEECH, unbroken_speech

RUNS = 5
LENGTHS = ((1, 5), (5, 15), (15, 30), (30, 60))
"""Parts of an utterance, in seconds from its start. The window of an answer is full after three seconds."""


def hours_a_minute(model: Model, samples: Samples) -> float:
    """Return the hours of audio that a minute of one core recognises, as whole recordings; median of `RUNS`."""
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        recognizer = Recognizer(model)
        recognizer.push(samples)
        recognizer.finish()
        found.append(len(samples) / RATE / (time.process_time() - begun) / 60)
    return statistics.median(found)


def update_costs(model: Model, speech: Samples) -> list[float]:
    """Return the microseconds of each update of an utterance: the least of `RUNS`, which others disturb least."""
    update = to_samples(DecisionConfig().update_ms)
    runs = []
    for _ in range(RUNS):
        analyzer = Analyzer(model)
        analyzer.push(SpeechStarted(1, 0))
        costs = []
        for start in range(0, len(speech) - update + 1, update):
            begun = time.thread_time()
            analyzer.push(SpeechAudio(1, speech[start : start + update], start, start + update))
            costs.append((time.thread_time() - begun) * 1e6)
        runs.append(costs)
    return [float(cost) for cost in np.min(runs, axis=0)]


def main() -> int:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model = Model.load()
    recording = read_audio(SPEECH)
    whole = np.tile(recording, 300 * RATE // len(recording) + 1)
    print(f"{hours_a_minute(model, whole):.2f} hours of audio a minute of one core")
    costs = update_costs(model, unbroken_speech(LENGTHS[-1][1]))
    print("\nutterance so far   an update")
    for first, end in LENGTHS:
        cost = statistics.median(costs[2 * first : 2 * end])
        print(f"{first:>4} to {end:>2} s {cost:>15.0f} µs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
