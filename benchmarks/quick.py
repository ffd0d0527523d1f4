"""Count instructions and wake-ups of the daemon, and compare them with those of the committed baseline.

Both depend little on the load of the machine: a change of the instructions by a tenth is a change of the program.
Instructions are counted by valgrind (measuring/instructions.py). A wake-up is a thread that has waited.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
from measuring import baseline
from measuring.baseline import Baseline, Figure
from measuring.instructions import count, environment, unavailable
from measuring.process import Daemon, anonymous_mb, wakeups
from measuring.signals import RATE, Samples, room_tone, unbroken_speech

SILENCE_SECONDS = 20.0
SPEECH_SECONDS = 8.0
"""Audio of the two runs below valgrind."""

SETTLE_SECONDS = 2.0
WINDOWS = 3
WINDOW_SECONDS = 5.0
"""Wake-ups are counted in so many windows, after the daemon has settled. The least counts: a busy machine adds some."""

NOT_COMPARED = 3
"""Exit status where figures cannot be measured, or not be compared."""


def instructions() -> dict[str, Figure]:
    """Count the instructions of the start, and of a second of silence and of speech, by stage."""
    # Both at once: valgrind uses one core for a process.
    with ThreadPoolExecutor(2) as pool:
        silence, speech = pool.map(count, (room_tone(SILENCE_SECONDS), unbroken_speech(SPEECH_SECONDS)))
    # The main thread has next to nothing to do in silence but to start and to end.
    start = silence.event_loop
    figures = {"start and end": Figure(start / 1e6, "million instructions")}
    figures["silence"] = _each_second((silence.total - start) / SILENCE_SECONDS)
    figures["speech"] = _each_second((speech.total - start) / SPEECH_SECONDS)
    for stage, number in speech.stages.items():
        before = start if stage == "event loop" else 0
        figures[f"speech, {stage}"] = _each_second((number - before) / SPEECH_SECONDS)
    return figures


def _each_second(value: float) -> Figure:
    return Figure(value / 1e6, "million instructions a second")


def waits(name: str, sound: Callable[[float], Samples]) -> dict[str, Figure]:
    """Count the wake-ups of a daemon in real time, and measure its memory."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound(SETTLE_SECONDS + WINDOWS * WINDOW_SECONDS + 10), RATE)
        daemon = Daemon(Path(folder), f"file:{path}")
        time.sleep(SETTLE_SECONDS)
        each_second = min(_wakeups_a_second(daemon.pid) for _ in range(WINDOWS))
        memory = anonymous_mb(daemon.pid)
        daemon.end()
    return {
        f"{name}, wake-ups": Figure(each_second, "a second"),
        f"{name}, memory": Figure(memory, "MB in no file"),
    }


def _wakeups_a_second(pid: int) -> float:
    begun, before = time.monotonic(), wakeups(pid)
    time.sleep(WINDOW_SECONDS)
    return (wakeups(pid) - before) / (time.monotonic() - begun)


def measure() -> dict[str, Figure]:
    """Measure all figures."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(waits, "silence", room_tone), pool.submit(waits, "speech", unbroken_speech)]
        waited = runs[0].result() | runs[1].result()
    return instructions() | waited


def report(now: dict[str, Figure], before: dict[str, Figure]) -> None:
    """Print the figures beside those of the baseline."""
    print(f"{'':<22} {'now':>10} {'baseline':>10}  change")
    for name, figure in now.items():
        old = before.get(name)
        beside = f"{old.value:>10.2f}  {100 * (figure.value / old.value - 1):>+5.1f} %" if old else f"{'-':>10}"
        print(f"{name:<22} {figure.value:>10.2f} {beside:<20} {figure.unit}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and compare.

    Returns:
        1 if a figure has grown too much, 3 if nothing can be compared here, else 0
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--renew", action="store_true", help="write the figures of now as the new baseline")
    parser.add_argument("--baseline", type=Path, default=baseline.BASELINE, metavar="FILE", help="another baseline")
    options = parser.parse_args(argv)
    if reason := unavailable():
        print(f"Not compared: {reason}.")
        return NOT_COMPARED
    here = environment()
    before = None if options.renew else Baseline.read(options.baseline)
    if before is not None and (different := baseline.differences(here, before.environment)):
        print(f"Not compared: {'; '.join(different)}. For a baseline of your own: {baseline.RENEW}")
        return NOT_COMPARED
    now = measure()
    report(now, {} if before is None else before.figures)
    if before is None:
        Baseline(here, now).write(options.baseline)
        print(f"Written to {options.baseline}.")
        return 0
    sentences = baseline.regressions(now, before.figures)
    print("\n".join(sentences) or "No figure has grown by more than is allowed.")
    return int(bool(sentences))


if __name__ == "__main__":
    sys.exit(main())
