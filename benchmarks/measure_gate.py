"""Measure the gate on every RAVDESS recording and on ten minutes each of sounds that are not speech.

    python benchmarks/measure_gate.py --data FOLDER            # the defaults of GateConfig
    python benchmarks/measure_gate.py --data FOLDER --engine webrtc --set hangover_ms=500
    python benchmarks/measure_gate.py --cut-in CORPUS ...      # streams that begin in the middle of a sentence

FOLDER holds Actor_NN/*.{wav,flac}. Each recording is padded with one second of its own room tone on each side. The true
extent of speech is from the first to the last block of 10 ms above -30 dB of the loudest block.

With --cut-in, recordings of corpus folders are cut at a loud moment within a second of the onset. Recall is the share
of the speech that the gate passes on. Speech is what it finds in the whole recording after two seconds of room tone.
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
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.noises import GENERATORS
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechEnded, SpeechStarted

LEVELS_DB = (-20, 0, 10)
NOISE_LEVELS_DBFS = (-50, -30)
NOISE_SECONDS = 600
BLOCK = 160
CUT_IN_SECONDS = 2.5


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


def find_speech(samples: Samples, config: GateConfig) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of the samples: those from the onset to the offset of an utterance, and those that are passed on."""
    gate = Gate(config)
    inside, passed = np.zeros((2, len(samples)), dtype=bool)
    onset = 0
    for event in gate.push(Block(samples, 0)) + gate.finish():
        match event:
            case SpeechStarted():
                onset = event.onset
            case SpeechAudio():
                passed[event.start : event.start + len(event.samples)] = True
            case SpeechEnded():
                inside[onset : event.offset] = True
    return inside, passed


def measure_cut_in(path: Path, config: GateConfig) -> tuple[float, float] | None:
    """Recall of a recording that is cut in mid-speech: of all its speech, and of its first half second.

    `None` where fewer than two seconds of speech remain.
    """
    samples = read_audio(path)
    if len(samples) < CUT_IN_SECONDS * SAMPLE_RATE:
        return None
    rng = np.random.default_rng(sum(path.name.encode()))
    tone = room_tone(samples, 2 * SAMPLE_RATE, rng)
    whole = np.concatenate((tone, samples, tone[:SAMPLE_RATE])).astype(np.int16)
    speech = find_speech(whole, config)[0][len(tone) : len(tone) + len(samples)]
    peaks = np.abs(samples[: len(samples) // BLOCK * BLOCK].astype(int)).reshape(-1, BLOCK).max(axis=1)
    onset = int(speech.argmax())
    near = np.arange((onset + 3 * SAMPLE_RATE // 10) // BLOCK, min((onset + SAMPLE_RATE) // BLOCK, len(peaks)))
    loud = near[peaks[near] > peaks.max() * 10 ** (-10 / 20)] * BLOCK
    if not len(loud) or speech[loud[0] :].sum() < 2 * SAMPLE_RATE:
        return None
    cut = int(rng.choice(loud))
    truth, found = speech[cut:], find_speech(samples[cut:], config)[1]
    begin = slice(0, SAMPLE_RATE // 2)
    return float(found[truth].mean()), float(found[begin][truth[begin]].mean())


def print_cut_in(folders: list[Path], config: GateConfig, every: int) -> None:
    print("corpus           recordings   recall   of the first 0.5 s   below .9")
    with multiprocessing.Pool() as pool:
        for folder in folders:
            paths = [one.path for one in open_corpus(folder).recordings][::every]
            rows = [row for row in pool.imap(partial(measure_cut_in, config=config), paths, 8) if row]
            table = np.array(rows or [(np.nan, np.nan)])
            whole, begin = table.mean(axis=0)
            print(f"{folder.name:16s} {len(rows):6d} {whole:12.3f} {begin:12.3f} {np.mean(table[:, 0] < 0.9):17.3f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder of Actor_NN/*.{wav,flac}")
    what.add_argument("--cut-in", type=Path, nargs="+", metavar="CORPUS", help="folders with index.csv")
    parser.add_argument("--engine", choices=("silero", "webrtc"), default=GateConfig().engine)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another gate setting")
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording only")
    arguments = parser.parse_args()
    settings = {
        key: float(value) if "." in value else int(value) for key, value in (s.split("=") for s in arguments.set)
    }
    arguments.config = dataclasses.replace(GateConfig(), engine=arguments.engine, **settings)
    return arguments


def main() -> None:
    arguments = parse()
    config, every = arguments.config, arguments.every
    print(config)
    if arguments.cut_in:
        print_cut_in(arguments.cut_in, config, every)
        return
    paths = [recording.path for recording in find_recordings(arguments.data).recordings][::every]
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
