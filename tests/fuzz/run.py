"""Fuzzes for minutes or hours: every target in turn, with new random examples each time.

Findings are kept as cases in `corpus/`, where `make test` replays them. Ctrl-C ends with a summary.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

BATCH = 200
"""Examples between two looks at the clock; a tenth of it for targets in a child process."""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").splitlines()[0])
    made.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    made.add_argument("--minutes", type=float, default=5.0, metavar="N", help="how long in all (default: 5)")
    made.add_argument(
        "--turn", type=float, default=20.0, metavar="SECONDS", help="time of a target's turn (default: 20)"
    )
    made.add_argument("--seed", type=int, metavar="N", help="begin with this seed (default: a random one)")
    made.add_argument("--engine", choices=("hypothesis", "atheris"), help="default: atheris where it is installed")
    made.add_argument("--no-keep", action="store_true", help="do not write findings to the corpus")
    made.add_argument("--list", action="store_true", help="list the targets and end")
    made.add_argument(
        "--row", metavar="N", help="count the examples until the fault N is found (see README.md), and end"
    )
    made.add_argument("--most", type=int, default=5000, metavar="N", help="with --row: give up after so many (5000)")
    made.add_argument("--keep", action="store_true", help="with --row: write the example to the corpus")
    made.add_argument("--code", type=Path, metavar="DIR", help="fuzz the source tree DIR in place of this one")
    return made


class Campaign:
    """Fuzzes targets in turn and keeps count."""

    def __init__(self, targets: list[Any], options: argparse.Namespace) -> None:
        self.targets = targets
        self.options = options
        self.executions: Counter[str] = Counter()
        self.found: dict[tuple[str, str], int] = {}
        """Times that each finding, by target and code, came up."""
        self.kept: list[Path] = []
        self.rng = random.Random(options.seed)
        self.began = time.monotonic()
        self.end = self.began + options.minutes * 60

    def run(self) -> int:
        """Fuzz until the time is over, or Ctrl-C; return the exit status, 1 after a finding."""
        try:
            while time.monotonic() < self.end:
                for target in self.targets:
                    if time.monotonic() < self.end:
                        self._turn(target)
        except KeyboardInterrupt:
            print("\ninterrupted", flush=True)
        self._summary()
        return int(bool(self.found))

    def _turn(self, target: Any) -> None:
        from fuzz import engine

        end = min(time.monotonic() + self.options.turn, self.end)
        runner = engine.Runner(target, lambda example, finding: self._seen(target, example, finding))
        batch = BATCH // 10 if target.isolated else BATCH
        before = time.monotonic()
        try:
            if self.options.engine == "atheris" and not target.isolated:
                self._guided(runner, end)
            while time.monotonic() < end:
                self._batch(runner, batch)
        finally:
            self.executions[target.name] += runner.executions
            runner.close()
        rate = runner.executions / max(time.monotonic() - before, 1e-3)
        clock = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - self.began))
        number = sum(count > 0 for (name, _), count in self.found.items() if name == target.name)
        print(
            f"{clock} {target.name:<13} {self.executions[target.name]:>9} executions {rate:>6.0f}/s  {number} findings",
            flush=True,
        )

    def _batch(self, runner: Any, count: int) -> None:
        from fuzz.target import Finding

        try:
            runner.generate(count, self.rng.getrandbits(64))
        except Finding:
            # Hypothesis checked the smallest example last.
            example, finding = runner.last
            self._record(runner.target, example, finding)
        except Exception as error:
            if runner.last is None:
                raise
            print(f"  {type(error).__name__} after a finding, which is kept as it was", flush=True)
            self._record(runner.target, *runner.last)

    def _guided(self, runner: Any, end: float) -> None:
        from fuzz import guided

        for example, finding in guided.fuzz(runner, end, self.rng).values():
            self._record(runner.target, example, finding)

    def _seen(self, target: Any, example: object, finding: Any) -> bool:
        """Raise what is new; count what is known."""
        key = target.name, finding.code
        if key in self.found:
            self.found[key] += 1
            return False
        return True

    def _record(self, target: Any, example: Any, finding: Any) -> None:
        from fuzz import engine

        self.found[target.name, finding.code] = self.found.get((target.name, finding.code), 0) + 1
        shown = "".join(c if c.isprintable() else "?" for c in str(finding)[:200])
        print(f"  FOUND in {target.name}: {shown}", flush=True)
        if not self.options.no_keep:
            path = engine.keep(target, example, finding)
            self.kept.append(path)
            print(f"  kept as {path}", flush=True)

    def _summary(self) -> None:
        seconds = time.monotonic() - self.began
        total = sum(self.executions.values())
        print(
            f"\n{total} executions of {len(self.executions)} targets, {seconds / 60:.1f} min, seed {self.options.seed}"
        )
        for name, count in self.executions.items():
            print(f"  {name:<13} {count:>9}")
        for (name, code), count in self.found.items():
            print(f"  {name}: {code} ({count} times)")
        print(f"{len(self.found)} findings" if self.found else "no finding")


def count_row(name: str, most: int, first_seed: int | None, *, keep: bool) -> int:
    """Print after how many examples a fault is found; 0 where it is."""
    from fuzz import engine
    from fuzz.rows import ROWS
    from fuzz.target import TARGETS

    row = ROWS[name]
    hits: list[tuple[int, Any]] = []

    def seen(example: object, finding: Any) -> bool:
        if not hits and engine.matches(row.finding, finding):
            hits.append((runner.executions, finding))
            if keep:
                engine.keep(runner.target, example, finding)
            return True
        return bool(hits)

    runner = engine.Runner(TARGETS[row.target], seen)
    try:
        runner.generate(most, first_seed, shrink=False)
    except Exception:
        if not hits:
            raise
    finally:
        runner.close()
    if not hits:
        print(f"{name}: not found by {row.target} in {runner.executions} examples ({row.what})")
        return 1
    number, finding = hits[0]
    shown = "".join(c if c.isprintable() else "?" for c in str(finding)[:100])
    print(f"{name}: found by {row.target} in example {number} ({row.what}): {shown}")
    return 0


def import_targets(engine: str) -> None:
    """Import the targets, and with them the program; for atheris with its branches counted."""
    if engine == "atheris":
        import atheris

        # It tells the name of every module.
        quiet = contextlib.redirect_stderr(io.StringIO())
        with quiet, atheris.instrument_imports(include=["ser_daemon", "ser_model"]):
            importlib.import_module("fuzz.targets")
    else:
        importlib.import_module("fuzz.targets")


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit status is 1 where something was found (with --row: where nothing was)."""
    options = parser().parse_args(argv)
    if options.code is not None:
        sys.path[:0] = [str(options.code.resolve() / part) for part in ("model", "daemon", "calibration", "bridges")]
    sys.path.insert(0, str(HERE.parent))
    installed = importlib.util.find_spec("atheris") is not None
    if options.engine is None:
        options.engine = "atheris" if installed and not options.row else "hypothesis"
    elif options.engine == "atheris" and not installed:
        parser().error("atheris is not installed: pip install 'ser-daemon[fuzz]'")
    import_targets(options.engine)
    from fuzz import engine
    from fuzz.target import TARGETS

    if options.row:
        return count_row(options.row, options.most, options.seed, keep=options.keep)
    if options.list:
        print("\n".join(TARGETS))
        return 0
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser().error(f"there is no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    for target in chosen:
        if reason := engine.missing(target):
            print(f"{target.name}: not fuzzed: {reason}")
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    print(f"engine {options.engine}, seed {options.seed}, {options.minutes:g} minutes", flush=True)
    return Campaign([target for target in chosen if not engine.missing(target)], options).run()


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)
    raise SystemExit(main())
