"""Print the result of `ser-calibrate unknown`, and check it against the targets."""

from __future__ import annotations

from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_calibration.evaluation.selective_classification import REASONS
from ser_model.training.calibration_files import UnknownFile

SNR_DB: Final = 10.0
"""Signal-to-noise ratio of the noisy recordings."""

NOISY: Final = f"snr-{SNR_DB:g}"
"""Key of the figures on noisy recordings."""

MIN_LABELLED: Final = 0.60
MAX_PRECISION_ERROR: Final = 0.03
MIN_FOUND: Final = 0.95
MAX_OPEN: Final = 0.01


def print_unknown(result: UnknownFile) -> None:
    """Print the figures, and whether they reach the targets."""
    console = Console(highlight=False)
    for method, row in result["auroc"].items():
        chosen = ", chosen" if method == result["method"] else ""
        console.print(
            f"{method}: AUROC {row['auroc']:.3f} ± {row['std']:.3f} of held-out speech against {result['noises']} "
            f"noises that pass the gate, {row['varied']:.3f} of varied speech{chosen}"
        )
    console.print(f"Unlike speech: {result['varied_rejected']:.2%} of held-out speech in noise and in rooms")
    console.print(_networks_table(result))
    for name, condition in (("clean", "clean"), (NOISY, f"{SNR_DB:g} dB, unseen noise")):
        gate = result["gate"][name]
        console.print(
            f"Gate, {condition}: found {gate['found']:.2%} (as one utterance {gate['one']:.2%}, "
            f"split {gate['split']:.2%}); an utterance beside the speech in {gate['beside']:.2%}"
        )
    _print_noise(console, result)
    console.print("\n".join(check_targets(result)))


def _networks_table(result: UnknownFile) -> Table:
    table = Table(title=f"Clean recordings of test actors, threshold for a precision of {result['precision']:.2f}")
    for title in ("seed", "labelled", "right of those", *REASONS, "missed or split", "hour: labelled"):
        table.add_column(title, justify="right")
    for seed, row in zip(result["seeds"], result["clean"], strict=True):
        shares = [row["labelled"], row["precision"], *(row["reasons"][reason] for reason in REASONS), row["missed"]]
        table.add_row(str(seed), *(f"{share:.3f}" for share in shares), str(max(row["labelled_in_hour"])))
    return table


def _print_noise(console: Console, result: UnknownFile) -> None:
    hour, final = result["hour"], result["final"]
    utterances = ", ".join(f"{name} {ms} ms" for name, ms in hour["utterances"]) or "none"
    console.print(f"{hour['seconds']:.0f} s without speech: open {hour['open']:.2%}; taken for speech: {utterances}")
    console.print(
        "Final network: not trained yet; run this again after `ser-model train --final`"
        if final is None
        else f"Final network: labels {final['labelled_in_hour']} of them"
    )
    if result["noises"]:
        labelled = [sum(row["labelled_in_others"]) / len(row["labelled_in_others"]) for row in result["clean"]]
        console.print(
            f"Other hours, every kind of noise: of {result['noises']} that pass the gate a network labels "
            f"{np.mean(labelled):.1f} on average"
        )


def check_targets(result: UnknownFile) -> list[str]:
    """Return a line for each target: the figure, the target, and whether it is met."""
    labelled = float(np.mean([row["labelled"] for row in result["clean"]]))
    right = float(np.mean([row["precision"] for row in result["clean"]]))
    precision, found, is_open = result["precision"], result["gate"][NOISY]["found"], result["hour"]["open"]
    noise_labelled = max(max(row["labelled_in_hour"]) for row in result["clean"])
    if result["final"] is not None:
        noise_labelled = max(noise_labelled, result["final"]["labelled_in_hour"])
    rows = [
        (f"labelled {labelled:.1%}", f"at least {MIN_LABELLED:.0%}", labelled >= MIN_LABELLED),
        (
            f"right of those {right:.1%}",
            f"{precision:.0%} ± {MAX_PRECISION_ERROR:.0%}",
            abs(right - precision) <= MAX_PRECISION_ERROR,
        ),
        (f"found at {SNR_DB:g} dB {found:.1%}", f"at least {MIN_FOUND:.0%}", found >= MIN_FOUND),
        (f"noise labelled {noise_labelled}", "0 by any network", noise_labelled == 0),
        (f"gate open {is_open:.2%}", f"under {MAX_OPEN:.0%}", is_open < MAX_OPEN),
    ]
    return [f"{'met   ' if is_met else 'MISSED'} {figure} (target: {target})" for figure, target, is_met in rows]
