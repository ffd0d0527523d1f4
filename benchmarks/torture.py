"""Lets real daemons live through faults, and measures how long and how well they take them.

Unplugged microphones, killed and stopped sound servers, sources that hang, abusive clients, full disks, hours of
sound: real processes, and PulseAudio's null sinks for microphones. Prints what was measured beside its bound.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from bench import machine

from support.torture import ROWS, Check, Unavailable


def run(name: str, quick: bool) -> bool:
    """Run a row and print its figures; whether all bounds hold."""
    begun = time.monotonic()
    row = ROWS[name]
    print(f"{name}: {(row.__doc__ or '').splitlines()[0]}", flush=True)
    try:
        checks = row(quick)
    except Unavailable as reason:
        print(f"  not run: {reason}", flush=True)
        return True
    except (AssertionError, RuntimeError, OSError) as error:
        traceback.print_exc()
        print(f"  FAILED: {error}", flush=True)
        return False
    for check in checks:
        print(f"  {_line(check)}", flush=True)
    print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    return all(check.ok for check in checks)


def _line(check: Check) -> str:
    measured, bound = f"{check.measured:.3g} {check.unit}".strip(), f"{check.bound:g} {check.unit}".strip()
    return f"{check.what:<58} {measured:>12}  bound {bound:<10} {'ok' if check.ok else 'MISSED'}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows; exit status 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: all of them: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="the short forms: minutes instead of hours")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.rows if name not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print(machine(), flush=True)
    missed = [name for name in options.rows or ROWS if not run(name, options.quick)]
    print(f"missed: {', '.join(missed)}" if missed else "all bounds hold")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
