"""Measure how many streams one `ser-wyoming` process serves in real time, and what a stream costs.

Each client plays speech with pauses in real time, from another place of the same recording. Processor time and memory
come from /proc. The delay of a final is the time from the arrival of the last sample of its hangover until its event
can be read. Other work on the machine makes delays longer; processor time suffers less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_bridges.wyoming.client_audio import BLOCK_MS
from ser_daemon.wire.payload_stream import EventHead, PayloadStream
from ser_model import Recognizer, read_audio
from ser_model.config import GateConfig
from ser_model.types import EmotionResult

SPEECH = Path(__file__).parents[1] / "tests/data/synthetic-speech.flac"
RATE = 16_000
CHUNK = 1_024
"""Samples of an event, as `wyoming-mic-external` has."""

WARM_SECONDS = 3.0
"""Time at the start that is not measured: every stream loads something once."""

SHARE = 0.5
"""Part of the time in which somebody speaks, pre-roll and hangover not counted."""

HEAD = b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":%d}\n' % (2 * CHUNK)


@dataclass
class Figures:
    """What one run has shown."""

    streams: int
    threads: int
    cpu_percent: float = 0.0
    rss_mb: float = 0.0
    late_ms: float = 0.0
    """How late the clients themselves were at most: above some ms, the machine had no time for them."""
    delays: list[float] = field(default_factory=list)
    """Of the finals, in ms."""


class Service:
    """A `ser-wyoming` process."""

    def __init__(self, folder: Path, threads: int, streams: int) -> None:
        self.path = folder / f"{threads}-{streams}.sock"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ser_bridges.wyoming.cli", "--uri", f"unix://{self.path}"),
                *("--threads", str(threads), "--max-clients", str(streams + 8)),
            ],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self.path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("wyoming_streams: ser-wyoming did not start.")
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def finals_of(samples: npt.NDArray[np.int16]) -> list[EmotionResult]:
    """Recognise a recording in blocks of the service's size."""
    recognizer = Recognizer()
    step = BLOCK_MS * RATE // 1000
    results = [
        result for start in range(0, len(samples), step) for result in recognizer.push(samples[start : start + step])
    ]
    return [result for result in results + recognizer.finish() if isinstance(result, EmotionResult) and result.final]


def describe(samples: npt.NDArray[np.int16]) -> str:
    """Say what the streams hold, and what the recognition alone takes of a core, without service and clients."""
    finals_of(samples)
    used = time.process_time()
    finals = finals_of(samples)
    used = time.process_time() - used
    spoken = sum(final.end - final.start for final in finals) / len(samples)
    alone = used / (len(samples) / RATE)
    return f"Speech: {spoken:.0%} of the time. Recognition alone, one stream in one thread: {alone:.2%} of a core."


def signal() -> npt.NDArray[np.int16]:
    """Return the recording with as much silence after each half second of it as makes the share right."""
    speech = read_audio(SPEECH)
    finals = finals_of(speech)
    pieces: list[npt.NDArray[np.int16]] = []
    noise = np.random.default_rng(0).normal(0, 8, 60 * RATE).astype(np.int16)
    for final in finals:
        piece = speech[max(0, final.start - RATE // 4) : final.end + RATE // 4]
        spoken = final.end - final.start
        pieces += [piece, noise[: max(RATE, round(spoken / SHARE) - len(piece))]]
    return np.concatenate(pieces)


async def play(path: Path, samples: npt.NDArray[np.int16], start: int, seconds: float, figures: Figures) -> None:
    """Play one stream, and note the delays of its finals."""
    reader, writer = await asyncio.open_unix_connection(path)
    begun = time.monotonic()
    reading = asyncio.create_task(read_finals(reader, begun, figures))
    rolled = np.roll(samples, -start)
    for number in range(int(seconds * RATE / CHUNK)):
        due = begun + (number + 1) * CHUNK / RATE
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if due > begun + WARM_SECONDS:
            figures.late_ms = max(figures.late_ms, (time.monotonic() - due) * 1000)
        at = number * CHUNK % (len(rolled) - CHUNK)
        writer.write(HEAD + rolled[at : at + CHUNK].tobytes())
    reading.cancel()
    writer.transport.abort()


async def read_finals(reader: asyncio.StreamReader, begun: float, figures: Figures) -> None:
    hangover = GateConfig().hangover_ms / 1000
    events = PayloadStream()
    while data := await reader.read(65_536):
        events.feed(data)
        while (event := events.take()) is not None:
            if (
                isinstance(event, EventHead)
                and event.data.get("final")
                and event.data["timestamp"] > WARM_SECONDS * 1000
            ):
                due = begun + event.data["end"] / 1000 + hangover
                figures.delays.append((time.monotonic() - due) * 1000)


async def measure(
    service: Service, samples: npt.NDArray[np.int16], streams: int, threads: int, seconds: float
) -> Figures:
    figures = Figures(streams, threads)
    places = [number * len(samples) // streams for number in range(streams)]
    total = WARM_SECONDS + seconds
    players = [asyncio.create_task(play(service.path, samples, place, total, figures)) for place in places]
    await asyncio.sleep(WARM_SECONDS)
    begun, used = time.monotonic(), service.cpu_seconds()
    await asyncio.sleep(seconds - 0.5)
    figures.cpu_percent = 100 * (service.cpu_seconds() - used) / (time.monotonic() - begun)
    figures.rss_mb = service.rss_mb()
    await asyncio.gather(*players)
    return figures


def report(runs: Sequence[Figures]) -> None:
    print(
        "| streams | threads | processor, % of a core | streams a core | memory MB | finals | p50 ms | p99 ms "
        "| clients late ms |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for run in runs:
        p50, p99 = np.percentile(run.delays, [50, 99]) if run.delays else (np.nan, np.nan)
        cores = run.streams / run.cpu_percent * 100
        print(
            f"| {run.streams} | {run.threads} | {run.cpu_percent:.0f} | {cores:.0f} | {run.rss_mb:.0f} "
            f"| {len(run.delays)} | {p50:.0f} | {p99:.0f} | {run.late_ms:.0f} |"
        )
    few, many = runs[0], max(runs, key=lambda run: run.streams)
    if many.streams > few.streams:
        print(f"\nMemory of a stream: {(many.rss_mb - few.rss_mb) / (many.streams - few.streams) * 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 30, 60], help="numbers of streams (1 30 60)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads of the service (1 2)")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each run (12)")
    options = parser.parse_args()
    samples = signal()
    print(describe(samples))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the runs, of which this is none", flush=True)
    runs = []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for threads in options.threads:
            for streams in options.streams if threads == options.threads[0] else options.streams[-1:]:
                service = Service(Path(folder), threads, streams)
                try:
                    runs.append(asyncio.run(measure(service, samples, streams, threads, options.seconds)))
                finally:
                    service.stop()
    report(runs)


if __name__ == "__main__":
    main()
