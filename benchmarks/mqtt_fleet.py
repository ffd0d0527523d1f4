"""Measure how far one Mosquitto goes with the rooms of a fleet that use `ser-mqtt`.

A real daemon hears the demo recording once. Its events are then replayed to many rooms at once, each at another place
of the recording, over Unix sockets as a daemon's. Each room has the bridge's own code and its own connection to the
broker; all rooms share one process, so that a small machine can run a hundred. A consumer in a process of its own
measures delivery: from the moment at which the replay writes an event to the moment at which the consumer has it. Two
further consumers share one subscription (MQTT 5). `bridge_cost.py` measures what one bridge costs.

Needs mosquitto and the extra mqtt: python benchmarks/mqtt_fleet.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from mqtt_consumers import PREFIX, Consumer, all_online, drain, run_rooms
from mqtt_replay import Replay, record


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to a nanosecond (proc_pid_schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@contextlib.contextmanager
def broker(folder: Path) -> Any:
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise SystemExit("mqtt_fleet: mosquitto is not installed (Debian: sudo apt-get install mosquitto).")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
    )
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


async def measure(folder: Path, rooms: int, speeds: list[float], seconds: float) -> None:
    steps, length = await asyncio.to_thread(record, folder)
    emotions = sum(step.event["type"] == "emotion" for step in steps)
    print(
        f"The recording: {length:.0f} s, {emotions} results. Load of the machine: {os.getloadavg()[0]:.1f}.", flush=True
    )
    replay = Replay(folder, steps, length)
    await replay.open(rooms)
    with broker(folder) as (port, broker_pid):
        fleet = multiprocessing.Process(target=run_rooms, args=(folder, port, range(rooms)), daemon=True)
        fleet.start()
        topics = [f"{PREFIX}/+/+/utterance", f"{PREFIX}/+/+/partial"]
        all_of_it = await asyncio.to_thread(Consumer, port, *topics)
        shared = [await asyncio.to_thread(Consumer, port, f"$share/both/{topics[0]}") for _ in range(2)]
        await all_online(port, rooms)
        print(
            "rooms' worth | results/s | finals lost | p50 ms | p99 ms | finals p99 ms | shared 1 + 2 of finals"
            " | CPU broker | CPU all bridges | load"
        )
        for speed in speeds:
            for consumer in (all_of_it, *shared):
                await consumer.take()
            replay.sent.clear()
            before = cpu_seconds(broker_pid), cpu_seconds(fleet.pid or 0)
            replay.speed = speed
            await asyncio.sleep(seconds)
            replay.speed = 0.0
            got, parts = await drain(all_of_it, shared, replay.sent[True])
            used = cpu_seconds(broker_pid) - before[0], cpu_seconds(fleet.pid or 0) - before[1]
            delays = np.array([delay for _, delay in got])
            finals = np.array([delay for final, delay in got if final])
            p50, p99 = np.percentile(delays, [50, 99])
            sent, rate = replay.sent[True], len(got) / seconds
            print(
                f"{rooms * speed:,.0f} | {rate:.0f} | {sent - len(finals)} of {sent} | {p50:.1f} | {p99:.1f}"
                f" | {np.percentile(finals, 99):.1f} | {parts[0]} + {parts[1]} of {sent}"
                f" | {used[0] / seconds:.1%} | {used[1] / seconds:.1%} | {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        for process in (fleet, all_of_it.process, *(consumer.process for consumer in shared)):
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ser-mqtt with the rooms of a fleet.")
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--speeds", type=float, nargs="+", default=[1, 4, 16], help="times faster than real time")
    parser.add_argument("--seconds", type=float, default=15, help="for each figure")
    options = parser.parse_args()
    # The consumers and the fleet must not share the event loop's state.
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as folder:
        asyncio.run(measure(Path(folder), options.rooms, options.speeds, options.seconds))


if __name__ == "__main__":
    main()
