"""Print the result of `ser-calibrate teaching`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_calibration.teaching_evaluation.gains import FEWEST_SPEAKERS, NOT_IN_MEAN, in_mean


def print_teaching(result: Mapping[str, Any]) -> None:
    """Print all tables."""
    console = Console(highlight=False)
    seeds = f"{len(result['seeds'])} seed{'s' if len(result['seeds']) > 1 else ''}"
    rows = result["rows"]
    groups = list(dict.fromkeys(name for row in rows for name in row["groups"]))
    abroad = [name for name in groups if "," not in name]
    console.print(_uar(f"UAR by examples of each label; corpora never heard, {seeds}", rows, abroad))
    console.print(_gains("points gained; corpora never heard", rows, abroad, mean=True))
    home = [name for name in groups if "," in name]
    if home:
        console.print(_uar("UAR by examples of each label; speakers never heard, their corpora heard", rows, home))
        console.print(_gains("points gained; speakers never heard, their corpora heard", rows, home, mean=False))
    console.print(_confidence(result["confidence"]))
    console.print(
        f"In brackets: 95 % interval of a paired bootstrap over speakers. mean: corpora never heard with at least "
        f"{FEWEST_SPEAKERS} speakers, without {', '.join(NOT_IN_MEAN)}. Answers are the best of the labels that the "
        "speaker has; in the last table of all eight."
    )


def _counted(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["scenario"].endswith("of each label")]


def _uar(title: str, rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> Table:
    """UAR before, and after by the number of examples; before is that of three examples."""
    counted = _counted(rows)
    names = [row["scenario"].split()[0] for row in counted]
    table = _table(title, ["corpus", "speakers", "0", *names])
    for group in groups:
        own = [row["groups"].get(group) for row in counted]
        usual = next((one for one, name in zip(own, names, strict=True) if one and name == "3"), None)
        if usual:
            cells = ["–" if one is None else _share(one["after"]) for one in own]
            table.add_row(group, str(usual["speakers"]), _share(usual["before"]), *cells)
    return table


def _gains(title: str, rows: Sequence[Mapping[str, Any]], groups: Sequence[str], *, mean: bool) -> Table:
    table = _table(title, ["scenario", *groups, *(["mean"] if mean else [])])
    for row in rows:
        own = [row["groups"].get(group) for group in groups] + ([row["mean"]] if mean else [])
        if any(own):
            table.add_row(row["scenario"], *("–" if one is None else _interval(one) for one in own))
    return table


def _confidence(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = {
        "ece": "ECE",
        "labelled": "labelled",
        "right": "right",
        "said": "activation said",
        "right_level": "right",
    }
    table = _table("what is said, before and after three examples of each label", ["corpus", "", *columns.values()])
    for row in rows:
        table.add_row(row["group"], row["when"], *(_share(row[name]) for name in columns))
    table.add_section()
    for when in ("before", "after"):
        own = [row for row in rows if row["when"] == when and in_mean(row["group"], row["speakers"])]
        if own:
            known = [[row[name] for row in own if row[name] is not None] for name in columns]
            table.add_row("mean", when, *(_share(float(np.mean(values)) if values else None) for values in known))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left")
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['gain']:+.1f} [{one['low']:+.1f}, {one['high']:+.1f}]"
