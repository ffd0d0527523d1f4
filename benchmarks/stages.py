"""Measure where the daemon's processor time goes: microseconds of each stage for each read, at real-time pace.

A real ser-daemon plays a file, with one subscriber. Functions that stand for a stage are timed by the processor time of
their thread, without the time of other timed functions that they call. So a wait costs nothing, and caches are as cold
as in use. The timers themselves cost about a microsecond a call.

The floor is what the same work takes in a tight loop, where code and weights are in the caches: the numbers of a read
cannot be had for less without another algorithm. The floor of a read is a wait at the same pace.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_model.audio.files import read_audio
from ser_model.audio.vad import SileroDetector
from ser_model.config import DecisionConfig
from ser_model.features.features import Features, compute_features
from ser_model.network.estimator import Model
from ser_model.types import to_samples

sys.path.insert(0, str(Path(__file__).parent))

from measuring.runs import MARGIN, READ_MS
from measuring.signals import RATE, room_tone, unbroken_speech

READ = RATE * READ_MS // 1000
UPDATE = to_samples(DecisionConfig().update_ms)
FILE_READ = "ser_daemon.sources.file:FileSource.read"
DETECTOR = "ser_model.audio.vad:SileroDetector.probabilities"
FEATURES = "ser_model.features.features:Features.push"
WINDOW = "ser_model.network.estimator:Model.window"
STREAM = "ser_model.network.estimator:Stream.push"

STAGES = (
    ("capture", "wait and read", FILE_READ),
    ("capture", "clock and queue", "ser_daemon.pipeline.gate_stage:GateStage.process"),
    ("capture", "gate", "ser_model.audio.gate:Gate.push"),
    ("capture", "levels and gain", "ser_model.audio.frame_classifier:FrameClassifier.prepare"),
    ("capture", "detector", DETECTOR),
    ("inference", "wait for the queue", "ser_daemon.pipeline.speech_queue:SpeechQueue.get"),
    ("inference", "pieces and windows", "ser_model.recognizer:Analyzer.push"),
    ("inference", "features", FEATURES),
    ("inference", "network, window", WINDOW),
    ("inference", "network, stream", STREAM),
    ("inference", "decision", "ser_model.decision:Decision.partial"),
    ("inference", "wire event", "ser_daemon.pipeline.inference:event_from_result"),
    ("inference", "to the event loop", "ser_daemon.service.service:Service._emit"),
    ("event loop", "publish", "ser_daemon.wire.publisher:Publisher.publish"),
    ("event loop", "encode", "ser_daemon.wire.publisher:encode"),
    ("event loop", "write", "ser_daemon.wire.line_writer:LineWriter.flush"),
    ("event loop", "watch the threads", "ser_daemon.service.supervisor:Supervisor.check"),
)
"""Thread, stage, and the function that stands for it."""


class Timers:
    """Exclusive processor time in ns and number of calls by stage."""

    def __init__(self) -> None:
        self.ns: dict[str, int] = defaultdict(int)
        self.calls: dict[str, int] = defaultdict(int)
        self._inner = threading.local()

    def wrap(self, target: str) -> None:
        """Time a function."""
        module, _, path = target.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, self._timed(target, getattr(owner, name)))

    def snapshot(self) -> dict[str, int]:
        """Return ns and calls by target, and the processor time of the daemon's threads, until now."""
        found = {f"ns {target}": ns for target, ns in tuple(self.ns.items())}
        found |= {f"calls {target}": calls for target, calls in tuple(self.calls.items())}
        for thread in threading.enumerate():
            name = {"MainThread": "event loop"}.get(thread.name, thread.name)
            # proc(5), schedstat: ns on the processor; the clock of another thread cannot be read.
            found[f"thread {name}"] = int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0])
        return found

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        inner, clock = self._inner, time.thread_time_ns

        def call(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(inner, "ns", 0)
            inner.ns = 0
            begun = clock()
            try:
                return function(*args, **kwargs)
            finally:
                spent = clock() - begun
                self.ns[stage] += spent - inner.ns
                self.calls[stage] += 1
                inner.ns = outer + spent

        return call


def child(seconds: float, arguments: Sequence[str], result: Path) -> int:
    """Run the daemon with timers, and write what they measured in so many seconds after its start."""
    from ser_daemon.cli import daemon

    timers = Timers()
    for _, _, target in STAGES:
        timers.wrap(target)

    def observe() -> None:
        time.sleep(MARGIN)
        before = timers.snapshot()
        time.sleep(seconds)
        after = timers.snapshot()
        result.write_text(json.dumps({name: after[name] - before.get(name, 0) for name in after}))

    threading.Thread(target=observe, daemon=True).start()
    return daemon.main(arguments)


def measure(sound: Path, seconds: float) -> dict[str, int]:
    """Return ns and calls by target, and the ns of each thread."""
    with tempfile.TemporaryDirectory(prefix="stages-", dir="/tmp") as folder:
        path, result = Path(folder) / "ser.sock", Path(folder) / "result.json"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
        environ |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        command = [sys.executable, __file__, "--child", str(seconds), str(result)]
        command += ["--service", "--mic", f"file:{sound}", "--socket", str(path)]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as subscriber:
                while subscriber.connect_ex(str(path)):
                    if process.poll() is not None:
                        raise SystemExit("stages: ser-daemon did not start")
                    time.sleep(0.01)
                threading.Thread(target=_read, args=(subscriber,), daemon=True).start()
                while process.poll() is None and not (result.exists() and result.stat().st_size):
                    time.sleep(0.2)
            process.terminate()
        found: dict[str, int] = json.loads(result.read_text())
        return found


def _read(subscriber: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while subscriber.recv(1 << 16):
            pass


def floors(sound: Path, seconds: float) -> dict[str, float]:
    """Return microseconds a read by target, without the daemon."""
    samples = read_audio(sound)
    model, detector, features = Model.load(), SileroDetector(), Features()
    frames = samples[:READ].reshape(-1, detector.frame_samples) / np.float32(32768)
    window = compute_features(samples[: to_samples(DecisionConfig().window_ms)])
    stream = model.stream()
    share = READ / UPDATE
    return {
        FILE_READ: wake_up(seconds),
        DETECTOR: tight_loop(lambda: detector.probabilities(frames)),
        FEATURES: share * tight_loop(lambda: features.push(samples[:UPDATE])),
        WINDOW: share * tight_loop(lambda: model.window(window)),
        STREAM: share / 4 * tight_loop(lambda: stream.push(window[:47])),
    }


def tight_loop(work: Callable[[], object]) -> float:
    """Return the microseconds of a call: the 20th percentile, as other programs disturb some of them."""
    spent = []
    for _ in range(300):
        begun = time.thread_time_ns()
        work()
        spent.append(time.thread_time_ns() - begun)
    return float(np.percentile(spent, 20)) / 1000


def wake_up(seconds: float) -> float:
    """Return the microseconds of a read by a program that only waits, at real-time pace."""
    reads = round(seconds * 1000 / READ_MS)
    begun = time.thread_time_ns()
    for _ in range(reads):
        time.sleep(READ_MS / 1000)
    return (time.thread_time_ns() - begun) / 1000 / reads


def table(run: dict[str, int]) -> list[tuple[str, str, float, float]]:
    """Return thread, stage, microseconds for each read and calls for each read; "rest" is what no timer covers."""
    reads = run[f"calls {FILE_READ}"]
    rows = []
    for thread in dict.fromkeys(thread for thread, _, _ in STAGES):
        rest = run.get(f"thread {thread}", 0)
        for owner, stage, target in STAGES:
            if owner == thread:
                spent, calls = (run.get(f"{kind} {target}", 0) for kind in ("ns", "calls"))
                rest -= spent
                rows.append((thread, stage, spent / 1000 / reads, calls / reads))
        rows.append((thread, "rest", rest / 1000 / reads, 1.0))
    return rows


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        return child(float(sys.argv[2]), sys.argv[4:], Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="length of each run (20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stages-", dir="/tmp") as folder:
        speech, silence = Path(folder) / "speech.wav", Path(folder) / "silence.wav"
        length = options.seconds + MARGIN + 10
        soundfile.write(speech, unbroken_speech(length), RATE)
        soundfile.write(silence, room_tone(length), RATE)
        runs = [table(measure(sound, options.seconds)) for sound in (speech, silence)]
        least = floors(speech, options.seconds)
    print(f"{'µs a read (and calls)':<34}{'speech':>16}{'silence':>16}{'floor':>9}")
    targets = {(thread, stage): target for thread, stage, target in STAGES}
    for rows in zip(*runs, strict=True):
        thread, stage, *_ = rows[0]
        cells = "".join(f"{spent:>9.0f} ({calls:4.2f})" for _, _, spent, calls in rows)
        floor = least.get(targets.get((thread, stage), ""))
        print(f"{thread:<12}{stage:<22}{cells}" + (f"{floor:>9.0f}" if floor else ""))
    totals = [sum(row[2] for row in rows) for rows in runs]
    print(f"{'all':<34}" + "".join(f"{total:>9.0f} {total / READ_MS / 10:.2f} %" for total in totals))
    return 0


if __name__ == "__main__":
    sys.exit(main())
