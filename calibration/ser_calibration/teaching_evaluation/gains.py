"""Gains of teaching by speaker, and their confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_calibration.evaluation.paired_gains import SEED, bootstrap_interval

NOT_IN_MEAN: Final = ("crema-d",)
"""Its listeners agree with the actors for 42 % of the recordings only, so it is looked at by itself."""

FEWEST_SPEAKERS: Final = 3
"""Speakers that a corpus needs to count in the mean."""

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Gain:
    """UAR of one draw of a speaker before and after."""

    scenario: str
    group: str
    speaker: str
    before: float
    after: float


def summarise(gains: Iterable[Gain]) -> list[dict[str, Any]]:
    """Return a row for each scenario: `groups` with the figures of each, and `mean` over corpora never heard.

    Figures are `before`, `after` (UAR), `gain`, `low`, `high` (points, paired 95 % interval over speakers),
    `speakers`, and `worst`, the lowest mean of a speaker.
    """
    table: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for one in gains:
        by_speaker = table.setdefault(one.scenario, {}).setdefault(one.group, {})
        by_speaker.setdefault(one.speaker, []).append((one.before, one.after))
    rows = []
    for scenario, groups in table.items():
        means = {group: _speaker_means(by_speaker) for group, by_speaker in groups.items()}
        rows.append(
            {
                "scenario": scenario,
                "groups": {group: _figures(values) for group, values in means.items()},
                "mean": _mean([values for group, values in means.items() if in_mean(group, len(values))]),
            }
        )
    return rows


def in_mean(group: str, speakers: int) -> bool:
    """Whether a group is one of the corpora that the mean is over."""
    return "," not in group and group not in NOT_IN_MEAN and speakers >= FEWEST_SPEAKERS


def _speaker_means(by_speaker: dict[str, list[tuple[float, float]]]) -> npt.NDArray[np.float64]:
    return np.array([np.mean(pairs, axis=0) for pairs in by_speaker.values()])


def _figures(means: npt.NDArray[np.float64]) -> dict[str, float]:
    """Figures of one group; `means` are by speaker, before and after, shape (speakers, 2)."""
    gains = 100 * (means[:, 1] - means[:, 0])
    low, high = bootstrap_interval(gains)
    return {
        "before": float(means[:, 0].mean()),
        "after": float(means[:, 1].mean()),
        "gain": float(gains.mean()),
        "low": low,
        "high": high,
        "worst": float(gains.min()),
        "speakers": len(gains),
    }


def _mean(groups: Sequence[npt.NDArray[np.float64]]) -> dict[str, float] | None:
    """Mean over groups, every group with the same weight; speakers are drawn again within theirs."""
    if not groups:
        return None
    rng = np.random.default_rng(SEED)
    gains = [100 * (means[:, 1] - means[:, 0]) for means in groups]
    drawn = [own[rng.integers(len(own), size=(_RESAMPLES, len(own)))].mean(axis=1) for own in gains]
    low, high = np.quantile(np.mean(drawn, axis=0), (0.025, 0.975))
    before, after = (float(np.mean([means[:, column].mean() for means in groups])) for column in (0, 1))
    return {"before": before, "after": after, "gain": 100 * (after - before), "low": float(low), "high": float(high)}
