"""Hours of sound: every utterance is reported at its time, and memory does not grow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soundfile

from support.daemon import Daemon, Message
from support.speech import SYNTHETIC_SPEECH
from support.torture.measure import RATE, Check, TimedSubscriber, rss_mb

PAUSE_SECONDS = 4.0
"""Between two utterances: longer than any hangover, and long enough for the noise floor to adapt."""

UTTERANCES = ((0.6, 4.4), (4.6, 7.7))
"""Utterances of the synthetic recording, with the quiet around them, in seconds."""


class Programme:
    """Generates speech, noise and silence. The result depends on the number of seconds only."""

    def __init__(self, seconds: float) -> None:
        self.onsets: list[float] = []
        """Onsets of the utterances in seconds."""
        self.length = round(seconds * RATE)
        self._speech = _utterances()
        self._generator = np.random.default_rng(7)

    def pieces(self) -> Iterator[npt.NDArray[np.int16]]:
        """Yield the samples in pieces. The last piece is whole, so the total may be longer than requested."""
        position = number = 0
        while position < self.length:
            for piece in self._scene(number, position):
                position += len(piece)
                yield piece
            number += 1

    def _scene(self, number: int, position: int) -> Iterator[npt.NDArray[np.int16]]:
        """Yield about a minute: utterances in a quiet room, utterances in steady noise, or digital silence."""
        kind = ("room", "noise", "room", "silence")[number % 4]
        if kind == "silence":
            yield np.zeros(40 * RATE, np.int16)
            return
        level = {"room": 10.4, "noise": 100.0}[kind]
        background = self._generator.normal(0, level, 60 * RATE)
        # Fades in: the gate may take a sudden start after digital silence for an onset.
        background[: 2 * RATE] *= np.linspace(0, 1, 2 * RATE)
        if kind == "noise":
            # Low-pass noise, like that of a fan, instead of white noise.
            background = np.convolve(background, np.ones(8) / 8, "same") * 2
        begin = 8 * RATE
        while begin + 8 * RATE < len(background):
            speech, onset = self._speech[int(self._generator.integers(len(self._speech)))]
            background[begin : begin + len(speech)] += speech
            self.onsets.append((position + begin + onset) / RATE)
            begin += len(speech) + round((PAUSE_SECONDS + self._generator.random()) * RATE)
        yield np.asarray(np.clip(background, -32768, 32767).round(), np.int16)


def _utterances() -> list[tuple[npt.NDArray[np.float64], int]]:
    """Return utterances, faded in and out, each with its first sample within 30 dB of the peak."""
    whole, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="float64")
    found = []
    for begin, end in UTTERANCES:
        samples = whole[int(begin * RATE) : int(end * RATE)] * 32768
        fade = np.minimum(1.0, np.minimum(np.arange(len(samples)), np.arange(len(samples))[::-1]) / 800)
        samples = samples * fade
        loud = np.abs(samples) > np.abs(samples).max() * 10 ** (-30 / 20)
        found.append((samples, int(np.flatnonzero(loud)[0])))
    return found


def hours(quick: bool) -> list[Check]:
    """Six hours (or half an hour) of speech, noise and silence through a daemon, as fast as possible."""
    seconds = 1800.0 if quick else 6 * 3600.0
    programme = Programme(seconds)
    memory: list[tuple[int, float]] = []
    fed = 0
    with (
        Daemon("--service", "--mic", "stdin", "--rate", str(RATE), feed=True) as daemon,
        contextlib.closing(TimedSubscriber(daemon)) as subscriber,
    ):
        for piece in programme.pieces():
            # Small writes, so that the pipe paces the writer.
            daemon.write(piece)
            fed += len(piece)
            memory.append((fed, rss_mb(daemon)))
        metrics = daemon.controller().request("metrics")["data"]
        daemon.end_of_input()
        subscriber.wait("state:stopping", seconds=120)
        daemon.wait()
        lines = [line for _, line in subscriber.lines]
    lost = metrics["samples_dropped"] + metrics["samples_missing"]
    # Buffers of the last results fill during 40 minutes; memory is constant from then on. Half an hour sees them grow.
    growth_mb = 2.0 if quick else 1.0
    return [*_make_checks(programme, fed, memory, lines, growth_mb), Check("samples dropped or missing", lost, 0, "")]


def _make_checks(
    programme: Programme, fed: int, memory: list[tuple[int, float]], lines: list[Message], growth_mb: float
) -> list[Check]:
    starts = [line["data"]["timestamp"] / 1000 for line in lines if line["type"] == "voice-started"]
    finals = sum(bool(line["data"].get("final")) for line in lines)
    stops = sum(line["type"] == "voice-stopped" for line in lines)
    early = max(rss for at, rss in memory if at <= fed / 10)
    late = max(rss for at, rss in memory if at > fed / 10)
    checks = [
        Check("utterances reported, off by", abs(len(starts) - len(programme.onsets)), 0, ""),
        Check("finals, off by", abs(finals - len(programme.onsets)), 0, ""),
        Check("ends of utterances, off by", abs(stops - len(programme.onsets)), 0, ""),
        Check("memory after the first tenth, more than in it", late - early, growth_mb, "MB"),
    ]
    if len(starts) == len(programme.onsets):
        errors = np.array(starts) - np.array(programme.onsets)
        tenth = max(1, len(errors) // 10)
        drift = abs(float(np.median(errors[-tenth:]) - np.median(errors[:tenth]))) * 1000
        # The resolution of an onset is one frame of the detector.
        checks.append(Check("drift from the first to the last tenth", drift, 32.0, "ms"))
    hours = fed / RATE / 3600
    print(f"  {hours:.2f} h, {len(starts)} utterances, memory {early:.1f} MB in the first tenth, {late:.1f} MB after")
    return checks
