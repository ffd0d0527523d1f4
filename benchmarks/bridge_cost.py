r"""Measure what a bridge costs beside its daemon: processor time and memory in silence and in speech.

A real daemon hears weak noise, and then the synthetic speech of the tests with its pauses, both in real time. The
bridge is any command; `{socket}` in it becomes the daemon's socket:

    python benchmarks/bridge_cost.py -- ser-mqtt --host localhost --socket {socket}
    python benchmarks/bridge_cost.py --pages 1 -- ser-web --port 0 --socket {socket}
    python benchmarks/bridge_cost.py --subscribers 1 -- ser-wyoming --uri tcp://127.0.0.1:10700 --events \
        --socket {socket}

With `--pages`, so many clients do what the page of ser-web does: they read all events, and ask for the level four
times a second. With `--subscribers`, so many clients of ser-wyoming read all events. Other work on the machine changes
the figures; compare runs side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_model import read_audio

SPEECH = Path(__file__).parents[1] / "tests/data/synthetic-speech.flac"
RATE = 16_000
CHUNK = 320
SETTLE_SECONDS = 3.0
"""Not measured: start, first connection, first load of what is loaded later."""

LEVEL_SECONDS = 0.25


class Process:
    """What /proc says of a process."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self._folder = name, Path(f"/proc/{pid}")

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory."""
        return int((self._folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def command_of(words: list[str], socket: Path) -> list[str]:
    """Return a command line; a command of this project is run by this Python, also where it is not installed."""
    modules = {f"ser-{name}": f"ser_bridges.{name}.cli" for name in ("mqtt", "wyoming", "ovos", "web")}
    modules["ser-watch"] = "ser_daemon.cli.watch"
    words = [word.replace("{socket}", str(socket)) for word in words]
    if words[0] in modules and shutil.which(words[0]) is None:
        return [sys.executable, "-m", modules[words[0]], *words[1:]]
    return words


@contextlib.asynccontextmanager
async def started(words: list[str], folder: Path) -> AsyncIterator[tuple[subprocess.Popen[bytes], list[Process], Path]]:
    """Run a daemon that hears its stdin, and a bridge; yield the daemon, both processes, and the bridge's output."""
    socket, output = folder / "ser.sock", folder / "bridge"
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "ser_daemon.cli.daemon", "--mic", "stdin", "--rate", str(RATE), "--socket", str(socket)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = [daemon]
    try:
        for _ in range(600):
            if socket.exists():
                break
            await asyncio.sleep(0.05)
        with output.open("wb") as file:
            bridge = subprocess.Popen(command_of(words, socket), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        running.append(bridge)
        yield daemon, [Process("bridge", bridge.pid), Process("daemon", daemon.pid)], output
        if bridge.poll() is not None:
            raise SystemExit(f"bridge_cost: the bridge has ended: {output.read_text().strip()}")
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(20)


async def feed(daemon: subprocess.Popen[bytes], samples: npt.NDArray[np.int16], seconds: float) -> None:
    """Give the daemon audio in real time, again from its start where it is too short."""
    assert daemon.stdin is not None
    begun = time.monotonic()
    for number in range(int(seconds * RATE / CHUNK)):
        await asyncio.sleep(max(0.0, begun + number * CHUNK / RATE - time.monotonic()))
        at = number * CHUNK % (len(samples) - CHUNK)
        daemon.stdin.write(samples[at : at + CHUNK].tobytes())
        daemon.stdin.flush()


async def show_page(output: Path) -> None:
    """Do what the page of ser-web does."""
    import aiohttp

    while "#token=" not in output.read_text():
        await asyncio.sleep(0.05)
    link, _, token = output.read_text().split("Open ")[1].split()[0].partition("#token=")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(f"{link}socket") as socket:

        async def ask() -> None:
            while True:
                await socket.send_str(json.dumps({"type": "status", "id": "level"}))
                await asyncio.sleep(LEVEL_SECONDS)

        asking = asyncio.create_task(ask())
        async for _message in socket:
            pass
        asking.cancel()
    raise SystemExit("bridge_cost: ser-web has closed the connection of a page.")


async def subscribe(uri: str) -> None:
    """Read the daemon's events from ser-wyoming."""
    from wyoming.client import AsyncClient
    from wyoming.event import Event

    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                await (client := AsyncClient.from_uri(uri)).connect()
                break
            await asyncio.sleep(0.1)
    await client.write_event(Event("subscribe"))
    while await client.read_event() is not None:
        pass
    raise SystemExit("bridge_cost: ser-wyoming has closed the connection of a subscriber.")


async def measure(words: list[str], seconds: float, pages: int, subscribers: int) -> None:
    noise = np.random.default_rng(0).normal(0, 8, 30 * RATE).astype(np.int16)
    with tempfile.TemporaryDirectory(prefix="cost-", dir="/tmp") as folder:
        async with started(words, Path(folder)) as (daemon, processes, output):
            showing = [asyncio.create_task(show_page(output)) for _ in range(pages)]
            uri = next((word for word in words if "://" in word), "")
            showing += [asyncio.create_task(subscribe(uri)) for _ in range(subscribers)]
            await feed(daemon, noise, SETTLE_SECONDS)
            print(f"{' '.join(words)}; clients: {len(showing)}; {seconds:g} s each; load {os.getloadavg()[0]:.1f}")
            print("| | " + " | ".join(f"{each.name}: % of a core | MB" for each in processes) + " |")
            for name, samples in (("silence", noise), ("speech", read_audio(SPEECH))):
                before = [each.cpu_seconds() for each in processes]
                begun = time.monotonic()
                await feed(daemon, samples, seconds)
                lasted = time.monotonic() - begun
                cells = [
                    f"{(each.cpu_seconds() - start) / lasted * 100:.2f} | {each.memory_mb():.1f}"
                    for each, start in zip(processes, before, strict=True)
                ]
                print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
                for each in showing:
                    if each.done():
                        each.result()
            for each in showing:
                each.cancel()
            await asyncio.gather(*showing, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each of the two parts (60)")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="clients of ser-web (0)")
    parser.add_argument("--subscribers", type=int, default=0, metavar="N", help="clients of ser-wyoming (0)")
    parser.add_argument("bridge", nargs="+", help="the bridge's command line, after --")
    options = parser.parse_args()
    asyncio.run(measure(options.bridge, options.seconds, options.pages, options.subscribers))


if __name__ == "__main__":
    main()
