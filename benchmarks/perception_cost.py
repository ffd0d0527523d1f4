"""Measure what it costs a voice assistant to read how its users sound, in its own process (Pipecat, LiveKit).

Streams are given to `VoiceReader` in frames of 20 ms in real time, as a framework does it: first silence, then speech,
after each utterance of which the reading is asked for, as when its transcription comes. The cost of the framework
itself is not in it. Other work on the machine makes delays longer; processor time suffers less.

    python benchmarks/perception_cost.py --streams 1 20
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_bridges.perception.reader import VoiceReader
from ser_model import read_audio
from ser_model.types import SAMPLE_RATE

SPEECH = Path(__file__).parents[1] / "tests/data/synthetic-speech.flac"
FRAME = SAMPLE_RATE // 50
TURN_SECONDS = 4.0
"""Time between two questions for the reading."""


def memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def play(reader: VoiceReader, samples: npt.NDArray[np.int16], seconds: float, at: int) -> list[float]:
    """Give a stream audio in real time; return how long each reading took in milliseconds."""
    begun, delays = time.monotonic(), []
    loop = asyncio.get_running_loop()
    for number in range(int(seconds * 50)):
        await asyncio.sleep(max(0.0, begun + number / 50 - time.monotonic()))
        start = (at + number * FRAME) % (len(samples) - FRAME)
        reader.push(samples[start : start + FRAME].tobytes(), SAMPLE_RATE)
        if number % int(TURN_SECONDS * 50) == int(TURN_SECONDS * 50) - 1:
            asked = loop.time()
            if await reader.reading(5.0) is not None:
                delays.append((loop.time() - asked) * 1000)
    return delays


async def measure(streams: int, seconds: float) -> None:
    noise = np.random.default_rng(0).normal(0, 8, 30 * SAMPLE_RATE).astype(np.int16)
    speech = read_audio(SPEECH)
    readers = [VoiceReader() for _ in range(streams)]
    for name, samples in (("silence", noise), ("speech", speech)):
        places = [(index * 7 * SAMPLE_RATE) % len(samples) for index in range(streams)]
        # The first utterance loads what is loaded late.
        await asyncio.gather(*(play(reader, samples, 2.0, at) for reader, at in zip(readers, places, strict=True)))
        before, begun = time.process_time(), time.monotonic()
        played = (play(reader, samples, seconds, at) for reader, at in zip(readers, places, strict=True))
        delays = sorted(delay for each in await asyncio.gather(*played) for delay in each)
        share = (time.process_time() - before) / (time.monotonic() - begun) * 100
        late = f"{delays[len(delays) // 2]:.0f} | {delays[int(len(delays) * 0.99)]:.0f}" if delays else "- | -"
        dropped = sum(reader.dropped for reader in readers)
        cells = f"{streams} | {name} | {share:.2f} | {share / streams:.2f} | {memory_mb():.1f} | {late} | {dropped:.1f}"
        print(f"| {cells} |", flush=True)
    for reader in readers:
        await reader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 20], help="users at once (1 20)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each part (30)")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; memory before: {memory_mb():.1f} MB")
    print("| users | | % of a core | each | memory MB | reading p50 ms | p99 ms | dropped s |")
    for streams in options.streams:
        asyncio.run(measure(streams, options.seconds))


if __name__ == "__main__":
    main()
