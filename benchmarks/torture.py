"""Run real daemons through faults, and measure how they handle them.

The scenarios are unplugged microphones, killed and stopped sound servers, hanging sources, abusive clients, full disks
and hours of sound. The processes are real, and the microphones are PulseAudio null sinks. Each figure is printed with
its bound.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measuring.machine import machine

from support.schema import checked
from support.torture import SCENARIOS, Check, Unavailable


def run(name: str, quick: bool) -> bool:
    """Run a scenario and print its figures; return whether all bounds hold."""
    begun = time.monotonic()
    scenario = SCENARIOS[name]
    print(f"{name}: {(scenario.__doc__ or '').splitlines()[0]}", flush=True)
    try:
        checks = scenario(quick)
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
    """Run the scenarios; return exit status 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"default: all of them: {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--quick", action="store_true", help="the short forms: minutes instead of hours")
    options = parser.parse_args(argv)
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    print(machine(), flush=True)
    missed = [name for name in options.scenarios or SCENARIOS if not run(name, options.quick)]
    lines = ", ".join(f"{count} {kind}" for kind, count in checked.most_common())
    print(f"lines that are as docs/protocol.schema.json says: {lines or 'none, as jsonschema is not installed'}")
    print(f"missed: {', '.join(missed)}" if missed else "all bounds hold")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
