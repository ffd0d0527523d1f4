"""Measure the gate on every RAVDESS recording and on ten minutes each of sounds that are not speech.

    python benchmarks/measure_gate.py --data FOLDER            # the defaults of GateConfig
    python benchmarks/measure_gate.py --data FOLDER --engine webrtc --set hangover_ms=500

FOLDER holds Actor_NN/*.{wav,flac}. Each recording is padded with one second of its own room tone on each side. The true
extent of speech is from the first to the last block of 10 ms above -30 dB of the loudest block.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np

from ser_model.audio.files import read_audio
from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.training.data.corpus import find_recordings
from ser_model.training.data.noises import GENERATORS
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechEnded, SpeechStarted

LEVELS_DB = (-20, 0, 10)
NOISE_LEVELS_DBFS = (-50, -30)
NOISE_SECONDS = 600
BLOCK = 160


def room_tone(samples: Samples, length: int, rng: np.random.Generator) -> np.ndarray:
    """Overlap-add the quietest grains of a recording in random order, to `length` samples."""
    grain = 2 * BLOCK
    count = len(samples) // grain
    energy = (samples[: count * grain].astype(float).reshape(count, grain) ** 2).mean(axis=1)
    quiet = np.argsort(energy)[: max(4, count // 10)]
    out = np.zeros(length + 2 * grain)
    window = np.sqrt(np.hanning(2 * grain))
    for at in range(0, length, grain):
        start = min(int(rng.choice(quiet)) * grain, len(samples) - 2 * grain)
        out[at : at + 2 * grain] += samples[start : start + 2 * grain] * window * rng.choice([-1, 1])
    return out[:length]


def speech_extent(samples: np.ndarray) -> tuple[int, int]:
    """First sample and end of the speech, in blocks of 10 ms above -30 dB of the peak."""
    count = len(samples) // BLOCK
    level = np.abs(samples[: count * BLOCK]).reshape(count, BLOCK).max(axis=1)
    loud = np.flatnonzero(level > level.max() * 10 ** (-30 / 20))
    return int(loud[0]) * BLOCK, int(loud[-1] + 1) * BLOCK


def measure_recording(path: Path, config: GateConfig) -> list[tuple[int, int, float, float]]:
    """For each level: (level, utterances, onset error in ms, offset error in ms); NaN unless there is one utterance."""
    samples = read_audio(path)
    rng = np.random.default_rng(sum(path.name.encode()))
    tone = [room_tone(samples, SAMPLE_RATE, rng) for _ in range(2)]
    whole = np.concatenate((tone[0], samples.astype(float), tone[1]))
    onset, offset = (SAMPLE_RATE + position for position in speech_extent(samples.astype(float)))
    rows = []
    for level in LEVELS_DB:
        scaled = np.clip(np.rint(whole * 10 ** (level / 20)), -32768, 32767).astype(np.int16)
        gate = Gate(config)
        events = gate.push(Block(scaled, 0)) + gate.finish()
        starts = [event.onset for event in events if isinstance(event, SpeechStarted)]
        ends = [event.offset for event in events if isinstance(event, SpeechEnded)]
        one = len(starts) == 1
        to_ms = 1000 / SAMPLE_RATE
        rows.append(
            (
                level,
                len(starts),
                (starts[0] - onset) * to_ms if one else np.nan,
                (ends[0] - offset) * to_ms if one else np.nan,
            )
        )
    return rows


def measure_noise(task: tuple[str, int], config: GateConfig) -> tuple[str, int, float, int]:
    """Run the gate on ten minutes of a generator: (name, level in dBFS, share of the time open, utterances)."""
    name, level = task
    signal = GENERATORS[name](NOISE_SECONDS * SAMPLE_RATE, np.random.default_rng(7))
    pcm = np.clip(np.rint(signal * 10 ** ((level + 30) / 20) * 32768), -32768, 32767).astype(np.int16)
    gate = Gate(config)
    events = gate.push(Block(pcm, 0)) + gate.finish()
    audio = sum(len(event.samples) for event in events if isinstance(event, SpeechAudio))
    return name, level, audio / len(pcm), sum(isinstance(event, SpeechStarted) for event in events)


def parse() -> tuple[Path, GateConfig, int]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of Actor_NN/*.{wav,flac}")
    parser.add_argument("--engine", choices=("silero", "webrtc"), default=GateConfig().engine)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another gate setting")
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording only")
    arguments = parser.parse_args()
    settings = {
        key: float(value) if "." in value else int(value) for key, value in (s.split("=") for s in arguments.set)
    }
    return (
        arguments.data,
        dataclasses.replace(GateConfig(), engine=arguments.engine, **settings),
        arguments.every,
    )


def main() -> None:
    data, config, every = parse()
    print(config)
    paths = [recording.path for recording in find_recordings(data).recordings][::every]
    with multiprocessing.Pool() as pool:
        rows = [row for rows in pool.imap(partial(measure_recording, config=config), paths, 8) for row in rows]
        print("level  recordings  one utterance  none  several  onset ms (median, |.| median, p95)  offset ms")
        for level in LEVELS_DB:
            table = np.array([row[1:] for row in rows if row[0] == level])
            count, onset, offset = table[:, 0], table[:, 1], table[:, 2]
            spread = "  ".join(
                f"{np.nanmedian(e):+4.0f} {np.nanmedian(abs(e)):4.0f} {np.nanpercentile(abs(e), 95):4.0f}"
                for e in (onset, offset)
            )
            shares = "  ".join(f"{np.mean(found):8.2%}" for found in (count == 1, count == 0, count > 1))
            print(f"{level:+4d}   {len(count):6d}      {shares}  {spread}")
        print("noise     level  open    utterances in ten minutes")
        tasks = [(name, level) for name in GENERATORS for level in NOISE_LEVELS_DBFS]
        for name, level, share, count in pool.imap(partial(measure_noise, config=config), tasks):
            print(f"{name:9s} {level:4d}  {share:6.2%}  {count}")


if __name__ == "__main__":
    main()
