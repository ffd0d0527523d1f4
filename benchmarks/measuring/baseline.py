"""The figures that `make bench-quick` compares with, and the comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ser_model.atomic_file import replace_file

BASELINE = Path(__file__).parents[1] / "baseline.json"
ALLOWED = 1.10
"""A figure may be this many times its baseline."""

UNSTEADY = ("wake-ups", "event loop")
ALLOWED_UNSTEADY = 1.5
"""The same for figures with one of these words. On a busy machine threads wait for each other, which adds up to a
quarter of the wake-ups; the event loop's timers also run while valgrind is slow."""

RENEW = 'make bench-quick ARGS="--renew"'


@dataclass(frozen=True)
class Figure:
    """One figure; less is better."""

    value: float
    unit: str


@dataclass(frozen=True)
class Baseline:
    """Figures of an earlier commit, and what they depend on besides the program."""

    environment: dict[str, str]
    figures: dict[str, Figure]

    @staticmethod
    def read(path: Path = BASELINE) -> Baseline:
        """Read a baseline.

        Raises:
            SystemExit: the file is missing or damaged.
        """
        try:
            data = json.loads(path.read_text())
            figures = {name: Figure(value, unit) for name, (value, unit) in data["figures"].items()}
            return Baseline(dict(data["environment"]), figures)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SystemExit(f"The baseline {path} cannot be read ({error}); write it anew: {RENEW}") from error

    def write(self, path: Path = BASELINE) -> None:
        """Write the baseline in one step."""
        figures = {name: [round(figure.value, 3), figure.unit] for name, figure in self.figures.items()}
        text = json.dumps({"environment": self.environment, "figures": figures}, indent=2)
        replace_file(path, text + "\n")


def differences(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """Return what differs between two environments, a phrase each."""
    names = sorted({*now, *before})
    return [
        f"{name} is {now.get(name, 'missing')}, the baseline has {before.get(name, 'none')}"
        for name in names
        if now.get(name) != before.get(name)
    ]


def regressions(now: Mapping[str, Figure], before: Mapping[str, Figure]) -> list[str]:
    """Return a sentence for each figure that has grown beyond what is allowed, or that has no baseline."""
    sentences = []
    for name, figure in now.items():
        allowed = ALLOWED_UNSTEADY if any(word in name for word in UNSTEADY) else ALLOWED
        if name not in before:
            sentences.append(f"{name} has no baseline; write one: {RENEW}")
        elif figure.value > before[name].value * allowed:
            old = before[name].value
            sentences.append(
                f"{name} has grown by {100 * (figure.value / old - 1):.0f} %, from {old:,.6g} to {figure.value:,.6g} "
                f"{figure.unit}; at most {100 * (allowed - 1):.0f} % is allowed. If that is worth it, renew the "
                f"baseline and commit it: {RENEW}"
            )
    return sentences
