"""`ser-calibrate teaching`: what a speaker's own examples are worth to speakers whom networks never heard."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.progress import track

from ser_calibration.teaching_evaluation.conditions import change_recordings
from ser_calibration.teaching_evaluation.draws import FEWEST, FEWEST_LABELS, draw_speakers
from ser_calibration.teaching_evaluation.gains import Gain, summarise
from ser_calibration.teaching_evaluation.listeners import hear
from ser_calibration.teaching_evaluation.lives import live
from ser_calibration.teaching_evaluation.report import print_teaching
from ser_calibration.teaching_evaluation.scenarios import measure_confidence, teach_all
from ser_calibration.teaching_evaluation.settings import compare_settings, print_settings
from ser_model.adaptation.taught_head import TeachingStrength
from ser_model.errors import SerError
from ser_model.training.corpora.corpora_run import CorporaRun, load_pool, open_corpora, reopen_run
from ser_model.training.corpora.held_out import corpus_networks
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.files import write_json

TEACHING_FILE: Final = "teaching.json"
SETTINGS_FILE: Final = "teaching_settings.json"


def measure_teaching(folder: Path, *, seeds: int | None, workers: int | None, settings: bool = False) -> None:
    """Print the tables, and write RUN/teaching.json.

    Args:
        folder: the run, whose networks that a corpus is held out from are trained for at least one seed.
        seeds: how many seeds to take, from the first; `None`: all that are trained.
        workers: processes that compute frames; `None`: one per core.
        settings: compare settings of the head instead, and write RUN/teaching_settings.json.

    Raises:
        SerError: the folder isn't what is expected, a network is not trained, or no speaker has enough recordings.
    """
    began = time.monotonic()
    torch.set_num_threads(1)
    run = reopen_run(folder, workers)
    pool = load_pool(run, open_corpora(run))
    chosen = _seeds(run, pool)[:seeds]
    listeners = list(hear(run, pool, chosen, {} if settings else change_recordings(run, pool)))
    if not any(True for one in listeners for _ in draw_speakers(one)):
        raise SerError(
            f"{folder}: expected a speaker with {FEWEST} recordings of {FEWEST_LABELS} labels, who can teach and be "
            "tested; found none in any corpus"
        )
    if settings:
        compared = compare_settings(listeners) | {"seeds": chosen, "seconds": _since(began)}
        write_json(folder / SETTINGS_FILE, compared)
        print_settings(compared)
        return
    gains: list[Gain] = []
    confidence: list[dict[str, Any]] = []
    for one in track(listeners, "speakers teach"):
        gains += teach_all(one)
        gains += live(one)
        confidence += measure_confidence(one)
    result = {
        "seeds": chosen,
        "strength": asdict(TeachingStrength()),
        "rows": summarise(gains),
        "confidence": _average(confidence),
        "seconds": _since(began),
    }
    write_json(folder / TEACHING_FILE, result)
    print_teaching(result)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _seeds(run: CorporaRun, pool: RecordingPool) -> list[int]:
    """Seeds whose networks are all trained; seed 0 if there is none, so that what is missing gets named."""
    found = range(len(list(run.output.glob(f"seed*-without-{pool.corpora[0].name}.pt"))))
    trained = [
        seed
        for seed in found
        if all((run.output / f"{one.name}.pt").exists() for one in corpus_networks([seed], pool.corpora))
    ]
    return trained or [0]


def _average(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over the networks of a group."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["group"], row["when"]].append(row)
    out = []
    for (group, when), own in groups.items():
        names = [name for name in own[0] if name not in ("group", "speakers", "when")]
        values = {name: [one[name] for one in own if one[name] is not None] for name in names}
        means = {name: float(np.mean(known)) if known else None for name, known in values.items()}
        out.append({"group": group, "speakers": max(one["speakers"] for one in own), "when": when, **means})
    return out
