"""From logits to an answer: temperatures, `unknown` and its reasons, smoothing, and the affect projection."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ser_model import Model
from ser_model.affect import COORDINATES, project
from ser_model.config import DecisionConfig
from ser_model.decision import Decision
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.ood import OodParameters, OodScorer, energy
from ser_model.scoring.smoothing import Smoother
from ser_model.scoring.temperature import LONG, SHORT, Temperature
from ser_model.types import Activation

ROOT = Path(__file__).resolve().parents[2]
EMBEDDING = np.zeros(64, dtype=np.float32)


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return Model.load().metadata


def logits_for(label: str, height: float = 4.0) -> np.ndarray:
    out = np.zeros(8, dtype=np.float32)
    out[LABELS.index(label)] = height
    return out


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum()


def test_confidence_grows_with_the_voiced_time_in_finals_and_partials(metadata: ModelMetadata) -> None:
    known = dataclasses.replace(metadata, temperature=1.0, short_temperature=2.0, unknown_below=0.0)
    decision, logits = Decision(DecisionConfig(), known), logits_for("sad")
    for answer in (decision.final, decision.partial):
        assert answer(logits, 100_000).confidence == pytest.approx(softmax(logits).max())
        assert answer(logits, 1_000).confidence == pytest.approx(softmax(logits / 2).max())
        assert answer(logits, 1_000).confidence < answer(logits, 16_000).confidence < answer(logits, 40_000).confidence
    older = Decision(DecisionConfig(), dataclasses.replace(known, short_temperature=None))
    assert older.partial(logits, 1_000).confidence == pytest.approx(softmax(logits).max())
    own = Decision(DecisionConfig(temperature=4.0), known)
    assert own.partial(logits, 1_000).confidence == pytest.approx(softmax(logits / 4).max())


def test_the_inverse_of_the_temperature_is_linear_between_its_ends() -> None:
    made = Temperature(short=2.0, long=0.5)
    np.testing.assert_allclose(
        1 / made.after(np.array([0, SHORT, (SHORT + LONG) // 2, LONG, 10**9])), [0.5, 0.5, 1.25, 2, 2]
    )


@pytest.mark.parametrize(
    ("fitted", "temperature", "expected"), [(True, None, True), (True, 1.5, False), (False, None, False)]
)
def test_only_the_models_own_fitted_temperatures_count_as_calibrated(
    metadata: ModelMetadata, fitted: bool, temperature: float | None, expected: bool
) -> None:
    decision = Decision(DecisionConfig(temperature=temperature), dataclasses.replace(metadata, calibrated=fitted))
    assert decision.final(logits_for("sad"), 16_000).calibrated is expected
    assert decision.partial(logits_for("sad"), 16_000).calibrated is expected


def test_out_of_distribution_is_unknown_at_any_confidence(metadata: ModelMetadata) -> None:
    ood = OodParameters(method="energy", limit=-3.0, window_limit=-5.0)
    known = dataclasses.replace(metadata, temperature=1.0, unknown_below=0.5, unlike_speech=ood)
    decision, logits = Decision(DecisionConfig(), known), logits_for("sad")
    assert -5.0 < energy(logits) < -3.0
    assert decision.final(logits, 16_000, EMBEDDING).label == "sad"
    partial = decision.partial(logits, 16_000, EMBEDDING)
    assert (partial.label, partial.reason, partial.top) == ("unknown", "unlike-speech", "sad")
    assert decision.final(logits_for("sad", 0.0), 16_000, EMBEDDING).reason == "unlike-speech"
    assert decision.final(logits_for("sad", 0.0), 100, EMBEDDING).reason == "too-short"
    ignoring = Decision(DecisionConfig(unlike_speech=False), known)
    assert ignoring.partial(logits, 16_000, EMBEDDING).label == "sad"


@pytest.fixture(scope="module")
def activating(metadata: ModelMetadata) -> ModelMetadata:
    """Metadata of a model with an activation: the share of the high labels, known from .6 on."""
    parameters = ActivationParameters(slope=1.0, offset=0.0, unknown_below=0.6)
    return dataclasses.replace(
        metadata, temperature=1.0, short_temperature=2.0, unknown_below=0.5, unlike_speech=None, activation=parameters
    )


def share_of_high(logits: np.ndarray) -> float:
    scores = dict(zip(LABELS, softmax(logits), strict=True))
    high = sum(scores[label] for label in ("happy", "angry", "fearful", "surprised"))
    return float(high / (1 - scores["disgust"]))


def test_the_activation_is_that_of_the_scores(activating: ModelMetadata) -> None:
    decision, logits = Decision(DecisionConfig(), activating), logits_for("sad")
    for answer in (decision.final, decision.partial):
        for voiced, divisor in ((100_000, 1), (1_000, 2)):
            found = answer(logits, voiced).activation
            assert found is not None
            assert found.probability == pytest.approx(share_of_high(logits / divisor))
    assert decision.final(logits, 100_000).activation == Activation("low", pytest.approx(share_of_high(logits)))


def test_a_low_confidence_leaves_the_activation_to_its_own_threshold(activating: ModelMetadata) -> None:
    both = logits_for("angry", 3.0) + logits_for("fearful", 3.0)
    for threshold, level in ((0.6, "high"), (0.99, "unknown")):
        parameters = ActivationParameters(1.0, 0.0, threshold)
        decision = Decision(DecisionConfig(), dataclasses.replace(activating, activation=parameters))
        for answer in (decision.final(both, 100_000), decision.partial(both, 100_000)):
            assert (answer.label, answer.reason) == ("unknown", "low-confidence")
            assert answer.activation == Activation(level, pytest.approx(share_of_high(both)))
    sure = Decision(DecisionConfig(), activating).final(logits_for("disgust"), 100_000)
    assert (sure.label, sure.activation and sure.activation.level) == ("disgust", "unknown")


def test_what_may_not_be_speech_has_a_probability_but_no_level(activating: ModelMetadata) -> None:
    ood = OodParameters(method="energy", limit=-100.0, window_limit=-100.0)
    strict = Decision(DecisionConfig(), dataclasses.replace(activating, unlike_speech=ood))
    logits = logits_for("angry")
    for answer in (strict.final, strict.partial):
        unlike = answer(logits, 100_000, EMBEDDING)
        assert unlike.reason == "unlike-speech"
        assert unlike.activation == Activation("unknown", pytest.approx(share_of_high(logits)))
        short = answer(logits, 1_000, EMBEDDING)
        assert short.reason == "too-short"
        assert short.activation == Activation("unknown", pytest.approx(share_of_high(logits / 2)))


def test_the_activation_of_partials_is_smoothed_with_the_scores(activating: ModelMetadata) -> None:
    decision = Decision(DecisionConfig(smoothing=0.5), activating)
    angry, sad = logits_for("angry", 50.0), logits_for("sad", 50.0)
    levels = []
    for logits in (angry, sad, sad):
        found = decision.partial(logits, 100_000).activation
        assert found is not None
        levels.append((found.level, round(found.probability, 6)))
    assert levels == [("high", 1.0), ("unknown", 0.5), ("low", 0.25)]
    assert decision.final(sad, 100_000).activation == Activation("low", pytest.approx(0, abs=1e-6))


def test_without_its_own_scores_a_model_has_no_activation(activating: ModelMetadata) -> None:
    decision, logits = Decision(DecisionConfig(min_voiced_ms=0), activating), logits_for("angry")
    assert decision.final(logits, 16_000).activation is not None
    assert decision.final(None, 16_000).activation is None
    others = (
        Decision(DecisionConfig(temperature=1.0), activating),
        Decision(DecisionConfig(), dataclasses.replace(activating, activation=None)),
    )
    for other in others:
        assert other.final(logits, 16_000).activation is None
        assert other.partial(logits, 16_000).activation is None


def test_the_mahalanobis_score_is_the_distance_to_the_nearest_mean() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(3, 3))
    covariance = mixing @ mixing.T
    means = rng.normal(size=(8, 3))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
    scorer = OodScorer(
        OodParameters(
            method="mahalanobis",
            limit=1.0,
            window_limit=2.0,
            means=tuple(map(tuple, means @ whitening.T)),
            whitening=tuple(map(tuple, whitening)),
        )
    )
    points = rng.normal(size=(5, 3))
    inverse = np.linalg.inv(covariance)
    expected = [min((point - mean) @ inverse @ (point - mean) for mean in means) for point in points]
    np.testing.assert_allclose(scorer.scores(np.zeros((5, 8)), points), expected)


def test_metadata_survive_the_file_and_older_ones_stay_readable(metadata: ModelMetadata) -> None:
    ood = OodParameters(
        method="mahalanobis",
        limit=90.0,
        window_limit=120.5,
        means=tuple((0.5,) * metadata.hidden for _ in LABELS),
        whitening=tuple(tuple(row) for row in np.eye(metadata.hidden).tolist()),
    )
    activation = ActivationParameters(slope=1.5, offset=-0.25, unknown_below=0.75)
    full = dataclasses.replace(
        metadata, short_temperature=1.25, calibrated=True, unlike_speech=ood, activation=activation
    )
    properties = full.to_properties()
    assert ModelMetadata.from_properties(properties, "f", full.mode) == full
    assert json.loads(properties["activation"]) == {"slope": 1.5, "offset": -0.25, "unknown_below": 0.75}
    assert full.format_version == 1
    for name in ("short_temperature", "calibrated", "unlike_speech", "activation"):
        del properties[name]
    old = ModelMetadata.from_properties(properties, "f", full.mode)
    assert (old.short_temperature, old.calibrated, old.unlike_speech, old.activation) == (None, False, None, None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("short_temperature", 0, "from 0.01 to 100"),
        ("short_temperature", "warm", "damaged"),
        ("unlike_speech", {"method": "cosine", "limit": 1, "window_limit": 1}, "no method 'cosine'"),
        ("unlike_speech", {"method": "energy", "limit": 1}, "damaged"),
        ("unlike_speech", {"method": "mahalanobis", "limit": 1, "window_limit": 1}, "do not fit"),
        (
            "unlike_speech",
            {"method": "mahalanobis", "limit": 1, "window_limit": 1, "means": [[0, 0]], "whitening": [[1, 0], [0, 1]]},
            "embeddings of 2 numbers",
        ),
        ("unlike_speech", [1], "damaged"),
        ("activation", {"slope": 0, "offset": 0, "unknown_below": 0.7}, r"damaged \(activation: expected a slope"),
        ("activation", {"slope": 1, "offset": "0", "unknown_below": 0.7}, "from -100 to 100 as offset, found '0'"),
        ("activation", {"slope": 1, "offset": 0, "unknown_below": 0.4}, "from 0.5 to 1 as unknown_below, found 0.4"),
        ("activation", {"slope": 1, "offset": 0}, r"damaged \(activation is not what it should be\)"),
        ("activation", {"slope": 1, "offset": 0, "unknown_below": 1, "x": 1}, "not what it should be"),
        ("activation", [1, 0, 0.7], "not what it should be"),
        ("activation", "high", "not what it should be"),
    ],
)
def test_invalid_calibration_is_refused(metadata: ModelMetadata, name: str, value: object, words: str) -> None:
    properties = metadata.to_properties() | {name: json.dumps(value)}
    with pytest.raises(SerError, match=words):
        ModelMetadata.from_properties(properties, "f", metadata.mode)


def scores(**shares: float) -> np.ndarray:
    rest = (1 - sum(shares.values())) / (8 - len(shares))
    return np.array([shares.get(label, rest) for label in LABELS])


def labels_of(smoother: Smoother, *steps: np.ndarray) -> list[str]:
    return [LABELS[smoother.push(step)[1]] for step in steps]


SAD, HAPPY, JUST_HAPPY = scores(sad=0.8), scores(happy=0.8), scores(happy=0.45, sad=0.4)


def test_without_smoothing_the_label_is_the_highest_score() -> None:
    assert labels_of(Smoother(), SAD, HAPPY, SAD, JUST_HAPPY) == ["sad", "happy", "sad", "happy"]


def test_a_new_label_must_lead_by_the_margin() -> None:
    assert labels_of(Smoother(margin=0.1), SAD, JUST_HAPPY, JUST_HAPPY, HAPPY) == ["sad", "sad", "sad", "happy"]


def test_a_new_label_must_lead_for_a_number_of_updates_in_a_row() -> None:
    steady = Smoother(updates=2)
    assert labels_of(steady, SAD, HAPPY, SAD, HAPPY, HAPPY) == ["sad", "sad", "sad", "sad", "happy"]
    angry = scores(angry=0.8)
    assert labels_of(steady, SAD, angry, HAPPY, HAPPY) == ["happy", "happy", "happy", "happy"]
    steady.reset()
    assert labels_of(steady, angry, angry) == ["angry", "angry"]


def test_the_projection_is_the_documented_table() -> None:
    rows = [line.split("|")[1:-1] for line in (ROOT / "docs" / "protocol.md").read_text().splitlines() if "|" in line]
    documented = {
        row[0].strip(): (float(row[2]), float(row[3])) for row in rows if len(row) == 4 and row[0].strip() in LABELS
    }
    assert documented == {label: tuple(point) for label, point in COORDINATES.items()}
    assert project(dict(zip(LABELS, scores(angry=1.0).tolist(), strict=True))) == COORDINATES["angry"]
    assert project({"angry": 0.5, "calm": 0.5}).valence == pytest.approx((-0.38 + 0.71) / 2)
