"""Compare settings of the taught head, and choose one for each corpus on the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_calibration.teaching_evaluation.draws import draw_speakers
from ser_calibration.teaching_evaluation.gains import FEWEST_SPEAKERS, Gain, summarise
from ser_calibration.teaching_evaluation.listeners import Listener
from ser_calibration.teaching_evaluation.scenarios import measure_confidence, measure_gain, teach_another
from ser_model.adaptation.taught_head import TeachingStrength

_USUAL: Final = TeachingStrength()
SETTINGS: Final = {
    "as it is": _USUAL,
    **{
        "precision " + " or ".join(f"{one:g}" for one in values): replace(_USUAL, weight_precisions=values)
        for values in ((1.0,), (2.0,), (4.0,), (8.0,), (1.0, 4.0), (4.0, 16.0), (2.0, 4.0, 8.0))
    },
    **{f"precision of the bias {value:g}": replace(_USUAL, bias_precision=value) for value in (0.1, 1.0)},
    **{f"whitened by {value:g}": replace(_USUAL, whitening=value) for value in (0.0, 0.5, 1.0)},
    **{f"reach {value:g}": replace(_USUAL, reach=value) for value in (1.2, 1.7, 1e6)},
    **{f"temperature {value:g}": replace(_USUAL, temperature=value) for value in (0.3, 0.55, 1.0)},
}
"""By a short name; each but the first differs in one value."""

_SCENARIOS: Final = ("1 of each label", "3 of each label", "20% mislabelled", "another speaker")


def compare_settings(listeners: Sequence[Listener]) -> dict[str, Any]:
    """Return for each setting the gain of each scenario and the calibration error, and what each corpus would choose.

    Corpora with fewer than `FEWEST_SPEAKERS` are left out.

    Returns:
        `settings`: by name `gains` (points, by scenario and group) and `ece` (by group); `chosen`: by corpus the
        setting with the highest mean gain over all scenarios on the other corpora.
    """
    result: dict[str, Any] = {}
    for name, strength in track(SETTINGS.items(), "settings"):
        gains: list[Gain] = []
        errors: dict[str, list[float]] = defaultdict(list)
        for listener in (one.with_strength(strength) for one in listeners):
            gains += _teach(listener)
            for row in measure_confidence(listener):
                if row["when"] == "after":
                    errors[row["group"]].append(row["ece"])
        rows = summarise(gains)
        enough = {group for group, one in rows[0]["groups"].items() if one["speakers"] >= FEWEST_SPEAKERS}
        result[name] = {
            "gains": {
                row["scenario"]: {group: one["gain"] for group, one in row["groups"].items() if group in enough}
                for row in rows
            },
            "ece": {group: float(np.mean(own)) for group, own in errors.items() if group in enough},
        }
    return {"settings": result, "chosen": _choose(result)}


def _teach(listener: Listener) -> Iterator[Gain]:
    draws = list(draw_speakers(listener))
    for draw in draws:
        for count in (1, 3):
            examples = draw.examples(count)
            yield from measure_gain(f"{count} of each label", listener, draw, examples, listener.truth[examples])
        wrong = draw.mislabel(listener.truth[examples], 0.2)
        yield from measure_gain("20% mislabelled", listener, draw, examples, wrong)
        yield from teach_another("another speaker", listener, draw, draws)


def _choose(result: dict[str, Any]) -> dict[str, str]:
    groups = {group for one in result.values() for group in one["ece"]}
    corpora = sorted({group.split(",")[0] for group in groups})

    def score(name: str, left_out: str) -> float:
        gains = result[name]["gains"]
        values = [
            gain for by_group in gains.values() for group, gain in by_group.items() if group.split(",")[0] != left_out
        ]
        return float(np.mean(values)) if values else 0.0

    return {corpus: max(result, key=lambda name: score(name, corpus)) for corpus in corpora}


def print_settings(result: dict[str, Any]) -> None:
    """Print the table of `compare_settings`."""
    console = Console(highlight=False)
    table = Table(title="points gained, means over corpora", title_justify="left")
    heard = "the same, corpus heard"
    for at, column in enumerate(("setting", *_SCENARIOS, heard, "ECE")):
        table.add_column(column, justify="right" if at else "left")
    for name, one in result["settings"].items():
        parts = [one["gains"].get(scenario, {}) for scenario in _SCENARIOS]
        abroad = [_mean([gain for group, gain in part.items() if "," not in group]) for part in parts]
        home = _mean([gain for group, gain in parts[-1].items() if "," in group])
        error = float(np.mean(list(one["ece"].values())))
        table.add_row(name, *abroad, home, f"{error:.3f}".removeprefix("0"))
    console.print(table)
    chosen = ", ".join(f"{corpus}: {name}" for corpus, name in result["chosen"].items())
    console.print(f"Best on all other corpora, by the mean of all gains, for {chosen}.")


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.1f}" if values else "–"
