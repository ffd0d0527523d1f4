"""The JSON files that `ser-calibrate` writes into the folder of a run, and that `ser-model` reads.

`confidence.json` holds temperatures and the threshold of `unknown`. `unknown.json` holds the parameters of
out-of-distribution detection. `adaptation.json` holds the class-mean logits. Each also holds the figures measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

from ser_model.scoring.ood import OodMethod
from ser_model.training.files import read_json, write_json

CONFIDENCE_FILE: Final = "confidence.json"
UNKNOWN_FILE: Final = "unknown.json"
ADAPTATION_FILE: Final = "adaptation.json"

WINDOW_MS: Final = 2_000
"""Length of the windows that the temperatures are fitted on, beside whole utterances."""
PRECISION: Final = 0.75
"""Share of right labels, on validation actors, that the threshold of `unknown` is chosen for."""


class ReliabilityBin(TypedDict):
    """A bin of the reliability diagram."""

    answers: int
    confidence: float
    accuracy: float


class CoveragePoint(TypedDict):
    """Accuracy on the most confident answers, a share `coverage` of all."""

    coverage: float
    accuracy: float


class ConfidenceFigures(TypedDict):
    """Quality of the confidence of one kind of answers; means over seeds unless stated."""

    answers: int
    """Number of answers of one seed."""
    accuracy: float
    ece: float
    """Expected calibration error."""
    ece_seeds: list[float]
    ece_all_seeds: float
    """Expected calibration error of the answers of all seeds together."""
    ece_by_chance: float
    """Expected calibration error of answers with the same confidences that are perfectly calibrated."""
    brier: float
    nll: float
    """Negative log-likelihood in nats."""
    reliability: list[ReliabilityBin]
    risk_coverage: list[CoveragePoint]


class MethodFigures(TypedDict):
    """Loss of a calibration method on validation actors left out in turn."""

    nll: float
    gain: float
    """Over a single temperature."""
    error: float
    """Standard error of `gain` over actors."""


class MeasuredConfidence(TypedDict):
    """One kind of answers of test actors, before and after calibration."""

    temperatures: list[list[float]]
    """For each fold the temperature after little and after much speech."""
    before: ConfidenceFigures
    after: ConfidenceFigures
    window_ms: NotRequired[int | None]
    """Length of the windows; `None` for whole utterances."""
    methods: NotRequired[dict[str, MethodFigures]]
    """By method; only for the kinds that the temperatures are fitted on."""


class VoicedConfidence(TypedDict):
    """Answers whose utterances had a similar duration of voiced speech."""

    up_to_seconds: float | None
    """Upper limit; `None` in the last row."""
    accuracy: float
    before: float
    """Mean confidence without a temperature; `after` is the mean confidence with it."""
    after: float


class FittedConfidence(TypedDict):
    """Values for the exported model, from all validation actors."""

    temperature: float
    short_temperature: float
    window_ms: int
    precision: float
    unknown_below: float


class ConfidenceFile(TypedDict):
    """`confidence.json`, written by `ser-calibrate confidence`."""

    seeds: list[int]
    recordings: int
    fitted: FittedConfidence
    measured: dict[str, MeasuredConfidence]
    """By kind of answers: `utterance`, `window`, `full_window` and `live_window`."""
    heard: list[VoicedConfidence]


class DetectionFigures(TypedDict):
    """How well a score separates speech from noise that passes the gate."""

    auroc: float
    std: float
    """Standard deviation of `auroc` over networks."""
    varied: float
    """The AUROC of augmented speech."""


class LabelledFigures(TypedDict):
    """What the networks of one seed label; shares are of all recordings."""

    labelled: float
    precision: float
    """Share of right labels among those given."""
    reasons: dict[str, float]
    """Share of `unknown` by reason."""
    missed: float
    labelled_in_hour: list[int]
    """For each fold the number of labels given in the hour without speech."""
    labelled_in_others: list[int]


class FinalFigures(TypedDict):
    """Values for the exported model."""

    sha256: str
    """Digest of the network that they belong to (`ser_model.training.folds.run_folder.final_digest`)."""
    labelled_in_hour: int
    unlike_speech: dict[str, Any]
    """`OodParameters.to_mapping`."""


class GateFigures(TypedDict):
    """Shares of the recordings in which the gate finds speech."""

    found: float
    one: float
    """As exactly one utterance."""
    split: float
    beside: float
    """With another utterance outside the speech."""


class HourFigures(TypedDict):
    """The gate during the hour without speech."""

    seconds: float
    open: float
    """Share of the time."""
    utterances: list[list[Any]]
    """Kind of noise, and milliseconds of voice, of each utterance found."""


class NetworkFigures(TypedDict):
    """The part of `unknown.json` that depends on the networks."""

    method: OodMethod
    kept: float
    """Share of the speech of validation actors below the limit."""
    varied_rejected: float
    """Share of augmented speech above the limit."""
    noises: int
    """Number of noises that chose the method."""
    auroc: dict[OodMethod, DetectionFigures]
    clean: list[LabelledFigures]
    """For each seed."""
    final: FinalFigures | None
    """`None`: the final network is not trained."""


class UnknownFile(NetworkFigures):
    """`unknown.json`, written by `ser-calibrate unknown`."""

    seeds: list[int]
    precision: float
    gate: dict[str, GateFigures]
    """By condition: `clean`, and `snr-10` in noise."""
    hour: HourFigures


class AdaptationFile(TypedDict):
    """`adaptation.json`, written by `ser-calibrate adaptation`."""

    actors: str
    """`test` or `validation`."""
    seeds: list[int]
    orders: int
    typical_logits: NotRequired[list[list[float]]]
    """Class-mean logits, shape (8, 8); earlier versions did not write them."""
    rows: list[dict[str, Any]]
    """For each `setting` the figures of every scenario."""


def write_confidence(folder: Path, content: ConfidenceFile) -> None:
    """Write `confidence.json` into the folder of a run."""
    write_json(folder / CONFIDENCE_FILE, content)


def write_unknown(folder: Path, content: UnknownFile) -> None:
    """Write `unknown.json` into the folder of a run."""
    write_json(folder / UNKNOWN_FILE, content)


def write_adaptation(folder: Path, content: AdaptationFile) -> None:
    """Write `adaptation.json`, or for validation actors `adaptation-validation.json`, which nothing reads."""
    write_json(folder / (ADAPTATION_FILE if content["actors"] == "test" else "adaptation-validation.json"), content)


def read_confidence(folder: Path) -> ConfidenceFile | None:
    """Read `confidence.json`; `None` if it is missing. The content is not checked: likewise below.

    Raises:
        SerError: The file is not JSON; likewise below.
    """
    content: ConfidenceFile | None = read_json(folder / CONFIDENCE_FILE)
    return content


def read_unknown(folder: Path) -> UnknownFile | None:
    """Read `unknown.json`; `None` if it is missing."""
    content: UnknownFile | None = read_json(folder / UNKNOWN_FILE)
    return content


def read_adaptation(folder: Path) -> AdaptationFile | None:
    """Read `adaptation.json`; `None` if it is missing."""
    content: AdaptationFile | None = read_json(folder / ADAPTATION_FILE)
    return content
