"""Measure the daemon beside other programs: processor time, memory, delays, start, and speed with recordings.

A real ser-daemon reads a file in real time, with one subscriber. The other programs read the same files in the same
reads (measuring/peers.py). All of them run in turns, so that a change of the machine's speed meets all of them, and
medians over the turns are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from measuring.machine import machine
from measuring.peers import EXTRA, PEERS
from measuring.picture import picture
from measuring.runs import MARGIN, READ_MS, Run, measure_start, run_daemon, run_peer
from measuring.signals import RATE, SPEECH, room_tone, sentences, unbroken_speech
from measuring.tight import in_process, speed_of_opensmile, speed_of_recognizer, update_costs

from ser_model.atomic_file import replace_file

DAEMON = "ser-daemon"
EMPTY = "empty loop"
SPARE = 2 * MARGIN + 10
"""Seconds of sound beyond the measured time."""


@dataclass(frozen=True)
class Row:
    """A line of the table of figures."""

    name: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = False

    @property
    def missed(self) -> bool:
        """Whether there is a target, and the figure is on its wrong side."""
        if self.target is None:
            return False
        return self.value < self.target if self.more_is_better else self.value > self.target

    def __str__(self) -> str:
        verdict = "" if self.target is None else f"  target {self.target:g}: {'MISSED' if self.missed else 'met'}"
        return f"{self.name:<49} {self.value:>8.2f} {self.unit}{verdict}"


@dataclass
class Turns:
    """The runs of all programs by name."""

    speech: dict[str, list[Run]] = field(default_factory=dict)
    silence: dict[str, list[Run]] = field(default_factory=dict)
    pauses: list[Run] = field(default_factory=list)
    """The daemon, with sentences and pauses."""
    starts: list[float] = field(default_factory=list)


def take_turns(folder: Path, options: argparse.Namespace) -> Turns:
    """Run the daemon and the peers that are installed, one after the other, so many times."""
    length = options.seconds + SPARE
    longest = max(options.seconds, 60 * options.memory_minutes) + SPARE
    soundfile.write(folder / "speech.wav", unbroken_speech(longest, options.file), RATE)
    soundfile.write(folder / "silence.wav", room_tone(length), RATE)
    soundfile.write(folder / "pauses.wav", sentences(length, options.file), RATE)
    names = [peer.name for peer in PEERS if not peer.lacks]
    turns = Turns()
    for number in range(options.runs):
        print(f"turn {number + 1} of {options.runs}", file=sys.stderr, flush=True)
        for sound, runs in (("speech", turns.speech), ("silence", turns.silence)):
            path = folder / f"{sound}.wav"
            runs.setdefault(DAEMON, []).append(run_daemon(path, options.seconds))
            for name in names:
                runs.setdefault(name, []).append(run_peer(name, path, options.seconds))
        turns.pauses.append(run_daemon(folder / "pauses.wav", options.seconds))
        turns.starts.append(measure_start(folder / "silence.wav"))
    return turns


def medians(runs: Mapping[str, Sequence[Run]]) -> dict[str, float]:
    """Return the median processor time by program, in percent of a core."""
    return {name: statistics.median(run.cpu_percent for run in each) for name, each in runs.items()}


def rows_of(turns: Turns, long: Run, costs: Mapping[float, float], speeds: Mapping[str, float]) -> list[Row]:
    """Return the table of the daemon's own figures."""
    speech, silence = medians(turns.speech), medians(turns.silence)
    runs = turns.speech[DAEMON]
    blocks = [delay for run in runs for delay in run.block_delays]
    samples = [delay for run in runs for delay in run.sample_delays]
    finals = [delay for run in turns.pauses for delay in run.final_delays]
    if not blocks or not finals:
        raise SystemExit("bench: nobody was heard to speak; give a clearer recording with --file")
    rows = [
        Row("processor, unbroken speech, above an empty loop", speech[DAEMON] - speech[EMPTY], "% of a core", 0.6),
        Row("processor, silence, above an empty loop", silence[DAEMON] - silence[EMPTY], "% of a core", 0.2),
        Row("memory, PSS", long.pss_mb, "MB", 60),
        Row("memory, RSS", long.rss_mb, "MB"),
        Row("update readable after its block, p50", float(np.percentile(blocks, 50)), "ms", 1.5),
        Row("update readable after its block, p99", float(np.percentile(blocks, 99)), "ms", 4),
        Row(f"  with the wait for the {READ_MS} ms block, p50", float(np.percentile(samples, 50)), "ms"),
        Row(f"  with the wait for the {READ_MS} ms block, p99", float(np.percentile(samples, 99)), "ms"),
        Row("final readable after the hangover, p50", float(np.percentile(finals, 50)), "ms"),
        Row("final readable after the hangover, p99", float(np.percentile(finals, 99)), "ms", READ_MS + 5),
        Row("exec to ready", statistics.median(turns.starts), "s", 0.25),
        *(Row(f"cost of an update after {length:g} s", cost, "ms") for length, cost in costs.items()),
        Row("  the same, 60 s over 3 s", costs[60.0] / costs[3.0], "times", 1.1),
        *(Row(f"recordings, {name}", speed, "hours of audio a minute of a core") for name, speed in speeds.items()),
    ]
    if len(speeds) > 1:
        fast, slow = speeds.values()
        rows.append(Row("recordings, ser-daemon over openSMILE", fast / slow, "times", 10, more_is_better=True))
    return rows


def peer_table(turns: Turns) -> str:
    """Return the table of processor time and memory by program, in Markdown."""
    speech, silence = medians(turns.speech), medians(turns.silence)
    what = {peer.name: peer.what for peer in PEERS} | {DAEMON: "speech found, features, network, results"}
    lines = ["| program | speech, % of a core | silence, % of a core | memory, PSS | what it does |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for name, runs in turns.speech.items():
        memory = statistics.median(run.pss_mb for run in runs)
        lines.append(f"| {name} | {speech[name]:.2f} | {silence[name]:.2f} | {memory:.0f} MB | {what[name]} |")
    return "\n".join(lines)


def tight(recordings: Sequence[Path]) -> tuple[dict[float, float], dict[str, float]]:
    """Return the costs of updates, and the speeds with recordings."""
    costs = in_process(update_costs)
    speeds = {DAEMON: in_process(speed_of_recognizer, recordings)}
    if not next(peer for peer in PEERS if peer.name == "openSMILE").lacks:
        speeds["openSMILE"] = in_process(speed_of_opensmile, recordings)
    return costs, speeds


def write(folder: Path, turns: Turns, rows: Sequence[Row], words: str) -> None:
    """Write the figures as JSON, and the picture."""
    data = {"machine": words, "figures": [asdict(row) for row in rows], "runs": asdict(turns)}
    replace_file(folder / "bench.json", json.dumps(data, indent=1) + "\n")
    replace_file(folder / "bench.svg", picture(medians(turns.speech), medians(turns.silence)))
    print(f"\nWritten: {folder / 'bench.json'} and {folder / 'bench.svg'}")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--file", type=Path, default=SPEECH, help="speech to play, 16 kHz (default: synthetic speech)")
    add("--seconds", type=float, default=15, help="measured time of each run (15)")
    add("--runs", type=int, default=5, help="turns (5)")
    add("--memory-minutes", type=float, default=1, help="time after which memory is measured (1)")
    add("--recordings", type=Path, help="folder of recordings to process as fast as possible (default: --file)")
    add("--output", type=Path, default=Path("runs/bench"), help="folder for bench.json and bench.svg (runs/bench)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; return exit status 1 if a target is missed."""
    options = arguments(argv)
    words = machine()
    print(words, flush=True)
    for peer in PEERS:
        if peer.lacks:
            print(f"{peer.name} is left out: {' and '.join(peer.lacks)} missing (pip install -e '.[{EXTRA}]')")
    folder = options.recordings
    recordings = [options.file] if folder is None else sorted(folder.rglob("*.flac")) + sorted(folder.rglob("*.wav"))
    if not recordings:
        raise SystemExit(f"bench: {folder} has no recordings; expected *.flac or *.wav")
    costs, speeds = tight(recordings)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        turns = take_turns(Path(name), options)
        long = run_daemon(Path(name) / "speech.wav", 60 * options.memory_minutes)
    rows = rows_of(turns, long, costs, speeds)
    count = sum(len(run.block_delays) for run in turns.speech[DAEMON])
    print(f"\n{options.runs} runs of {options.seconds:g} s each, {count} updates")
    print(f"memory after {options.memory_minutes:g} min; other programs that use the same files make PSS smaller\n")
    print("\n".join(map(str, rows)), peer_table(turns), sep="\n\n")
    write(options.output, turns, rows, words)
    return int(any(row.missed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
