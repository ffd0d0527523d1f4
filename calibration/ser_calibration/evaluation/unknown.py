"""`ser-calibrate unknown`: when a run's networks say `unknown`, and whether rightly; one command for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from ser_calibration.evaluation import ood
from ser_calibration.evaluation.gate_evaluation import Intruder, find_intruders, find_speech
from ser_calibration.evaluation.noise_stream import SECONDS, Piece, pieces
from ser_calibration.evaluation.ood import FoldScores, final_parameters, score_fold
from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.selective_classification import REASONS, Rule, measure_seed, rejected, rules
from ser_model.scoring.ood import METHODS, OodMethod, OodScorer
from ser_model.training.calibration_files import (
    PRECISION,
    WINDOW_MS,
    FinalFigures,
    GateFigures,
    NetworkFigures,
    UnknownFile,
    write_unknown,
)
from ser_model.training.data.acoustic_conditions import load_held_out
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.segmentation import Segmentation
from ser_model.training.folds.jobs import FINAL, FOLDS
from ser_model.training.folds.predictions import out_of_fold
from ser_model.training.folds.run_folder import RunFolder, final_digest
from ser_model.training.networks.inference import infer
from ser_model.types import SAMPLE_RATE

SNR_DB: Final = 10.0
TARGETS: Final = {"labelled": 0.60, "precision": 0.03, "found": 0.95, "open": 0.01}
MORE_HOURS: Final = (1, 2, 3)
"""Seeds of other hours, whose noise chooses the method; the hour of seed 0 is only measured on."""


def measure_unknown(
    source: RunSource, noise: Path, rooms: Path | None, *, precision: float | None, seconds: int | None
) -> None:
    """Print all figures about `unknown`; write RUN/unknown.json, which export reads.

    Args:
        source: the run and its recordings.
        noise: folder of noises.
        rooms: folder of room responses; `None` for none.
        precision: share of right labels that the threshold is chosen for; `None` for `PRECISION`.
        seconds: length of the noise without speech; `None` for an hour.

    Raises:
        SerError: a folder isn't what is expected.
    """
    precision, seconds = precision or PRECISION, seconds or SECONDS
    held_out = load_held_out(noise, None)
    run, corpus, dataset = source.load(variants=1, noise=noise, rooms=rooms)
    clean = find_speech(corpus, AcousticEnvironment(), None, source.workers)
    noisy = find_speech(corpus, held_out, SNR_DB, source.workers)
    hour, samples = find_intruders(track_pieces(noise, seconds))
    result: UnknownFile = {
        "seeds": list(run.seeds),
        "precision": precision,
        **judge_all(run, dataset, hour, more_noise(noise, seconds), precision),
        "gate": {"clean": gate_figures(clean), f"snr-{SNR_DB:g}": gate_figures(noisy)},
        "hour": {
            "seconds": samples / SAMPLE_RATE,
            "open": sum(one.samples for one in hour) / samples,
            "utterances": [[one.name, round(1000 * one.voiced / SAMPLE_RATE)] for one in hour],
        },
    }
    write_unknown(source.folder, result)
    show(result)


def track_pieces(noise: Path, seconds: int, seed: int = 0, every_kind: bool = False) -> Iterator[Piece]:
    """The pieces of an hour without speech, with a bar."""
    with Progress() as bar:
        task = bar.add_task(f"noise without speech, seed {seed}", total=seconds * SAMPLE_RATE)
        for piece in pieces(noise, seconds, seed, every_kind):
            yield piece
            bar.advance(task, len(piece.samples))


def more_noise(noise: Path, seconds: int) -> list[Intruder]:
    """What the gate takes for speech in other hours, of every kind of noise."""
    return [one for seed in MORE_HOURS for one in find_intruders(track_pieces(noise, seconds, seed, True))[0]]


def judge_all(
    run: RunFolder,
    dataset: Dataset,
    hour: Sequence[Intruder],
    others: Sequence[Intruder],
    precision: float,
) -> NetworkFigures:
    """Choose a method by the other hours' noise, and measure what is labelled of clean speech and of the hour.

    Args:
        run: whose networks answer.
        dataset: with a variant of each recording.
        hour: noise that passed the gate and is measured on.
        others: noise that passed the gate and chooses the method.
        precision: that the threshold is chosen for.
    """
    frames = [one.frames for one in (*hour, *others)]
    scores: dict[OodMethod, list[FoldScores]] = {method: [] for method in METHODS}
    for seed in track(run.seeds, "like speech, or not"):
        for fold in FOLDS:
            for method, one in score_fold(run, dataset, seed, fold, frames).items():
                scores[method].append(one)
    areas = ood.compare(scores, slice(len(hour), None)) if others else {}
    method = max(areas, key=lambda name: areas[name]["auroc"]) if areas else METHODS[0]
    whole, windows = (
        [out_of_fold(run, dataset, seed, "validation", length) for seed in run.seeds] for length in (None, WINDOW_MS)
    )
    made = rules(run, whole, windows, scores[method], precision)
    figures = []
    for number, seed in enumerate(track(run.seeds, "answers")):
        own = scores[method][number * len(FOLDS) : (number + 1) * len(FOLDS)]
        figures.append(measure_seed(run, out_of_fold(run, dataset, seed, "test"), own, made, hour, others))
    return {
        "method": method,
        "kept": ood.KEPT,
        "varied_rejected": rejected(scores[method], made),
        "noises": len(others),
        "auroc": areas,
        "clean": figures,
        "final": final_figures(run, dataset, method, scores[method], made[-1], hour),
    }


def final_figures(
    run: RunFolder,
    dataset: Dataset,
    method: OodMethod,
    scores: Sequence[FoldScores],
    rule: Rule,
    hour: Sequence[Intruder],
) -> FinalFigures | None:
    """What export needs for the shipped network, and how many sounds of the hour it would label; None without one."""
    digest = final_digest(run.path)
    if digest is None:
        return None
    network = run.network(FINAL.seed, FINAL.fold, FINAL.split)
    parameters = final_parameters(network, run, dataset, method, scores)
    logits, embeddings = infer(network, [one.frames for one in hour])
    given = rule.labelled(
        logits, OodScorer(parameters).scores(logits, embeddings), np.array([one.voiced for one in hour])
    )
    return {"sha256": digest, "labelled_in_hour": int(given.sum()), "unlike_speech": parameters.to_mapping()}


def gate_figures(found: Sequence[Segmentation]) -> GateFigures:
    """Shares of recordings: found at all, as one, in several pieces, and with an utterance beside the speech."""
    utterances = np.array([one.utterances for one in found])
    return {
        "found": float(np.mean(utterances > 0)),
        "one": float(np.mean(utterances == 1)),
        "split": float(np.mean(utterances > 1)),
        "beside": float(np.mean([one.outside > 0 for one in found])),
    }


def show(result: Mapping[str, Any]) -> None:
    """Print the figures, each beside what it must reach."""
    console = Console(highlight=False)
    for method, row in result["auroc"].items():
        chosen = ", chosen" if method == result["method"] else ""
        console.print(
            f"{method}: AUROC {row['auroc']:.3f} ± {row['std']:.3f} of held-out speech against {result['noises']} "
            f"noises that pass the gate, {row['varied']:.3f} of varied speech{chosen}"
        )
    console.print(f"Unlike speech: {result['varied_rejected']:.2%} of held-out speech in noise and in rooms")
    table = Table(title=f"Clean recordings of test actors, threshold for a precision of {result['precision']:.2f}")
    for title in ("seed", "labelled", "right of those", *REASONS, "missed or split", "hour: labelled"):
        table.add_column(title, justify="right")
    for seed, row in zip(result["seeds"], result["clean"], strict=True):
        shares = [row["labelled"], row["precision"], *(row["reasons"][reason] for reason in REASONS), row["missed"]]
        table.add_row(str(seed), *(f"{share:.3f}" for share in shares), str(max(row["labelled_in_hour"])))
    console.print(table)
    for name, said in (("clean", "clean"), (f"snr-{SNR_DB:g}", f"{SNR_DB:g} dB, unseen noise")):
        row = result["gate"][name]
        console.print(
            f"Gate, {said}: found {row['found']:.2%} (as one utterance {row['one']:.2%}, split {row['split']:.2%}); "
            f"an utterance beside the speech in {row['beside']:.2%}"
        )
    hour, final = result["hour"], result["final"]
    voices = ", ".join(f"{name} {ms} ms" for name, ms in hour["utterances"]) or "none"
    console.print(f"{hour['seconds']:.0f} s without speech: open {hour['open']:.2%}; taken for speech: {voices}")
    console.print(
        "Final network: not trained yet; run this again after `ser-model train --final`"
        if final is None
        else f"Final network: labels {final['labelled_in_hour']} of them"
    )
    if result["noises"]:
        given = [sum(row["labelled_in_others"]) / len(row["labelled_in_others"]) for row in result["clean"]]
        console.print(
            f"Other hours, every kind of noise: of {result['noises']} that pass the gate a network labels "
            f"{np.mean(given):.1f} on average"
        )
    console.print("\n".join(verdict(result)))


def verdict(result: Mapping[str, Any]) -> list[str]:
    """One line for each target: the figure, the target, and whether it is met."""
    labelled, right = (float(np.mean([row[name] for row in result["clean"]])) for name in ("labelled", "precision"))
    wanted, found = result["precision"], result["gate"][f"snr-{SNR_DB:g}"]["found"]
    given = max(max(row["labelled_in_hour"]) for row in result["clean"])
    if result["final"] is not None:
        given = max(given, result["final"]["labelled_in_hour"])
    rows = [
        (f"labelled {labelled:.1%}", f"at least {TARGETS['labelled']:.0%}", labelled >= TARGETS["labelled"]),
        (
            f"right of those {right:.1%}",
            f"{wanted:.0%} ± {TARGETS['precision']:.0%}",
            abs(right - wanted) <= TARGETS["precision"],
        ),
        (f"found at {SNR_DB:g} dB {found:.1%}", f"at least {TARGETS['found']:.0%}", found >= TARGETS["found"]),
        (f"noise labelled {given}", "0 by any network", given == 0),
        (
            f"gate open {result['hour']['open']:.2%}",
            f"under {TARGETS['open']:.0%}",
            result["hour"]["open"] < TARGETS["open"],
        ),
    ]
    return [f"{'met   ' if met else 'MISSED'} {figure} (target: {target})" for figure, target, met in rows]
