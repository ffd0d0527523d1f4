"""Adaptation to a microphone and a voice, from running statistics of the speech so far.

One offset is subtracted from the raw features and one from the logits; both are zero at first. They are maximum a
posteriori means (Gauvain & Lee 1994, doi 10.1109/89.279278): the speech weighs its seconds, the network's own values
weigh a prior number of seconds, and every offset is bounded.

A minute of anger must not shift the baseline. So the offset of the logits is not the mean of the logits but of their
bias: what remains without the class-mean logits of the answer (`ser_model.scoring.logit_bias`). The class-mean logits
come from the model file. `ser-calibrate adaptation` fits them, and measures what adaptation gains and costs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ser_model.adaptation.speaker_offset import NO_OFFSET, Logits, SpeakerOffset
from ser_model.adaptation.taught_head import TaughtHead
from ser_model.errors import AdaptationError
from ser_model.features.features import HOP, SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.logit_bias import FloatArray, is_finite, logit_bias
from ser_model.types import SAMPLE_RATE

FORMAT: Final = 1
"""Version of the plain data; increases when older programs would misread it."""

_MAX_DEVIATION = 5.0
"""Largest mean of a feature, in standard deviations from the training mean. The graph clips there too."""
_MAX_LOGIT = 20.0
"""Largest mean bias of a logit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationStrength:
    """Speed and bounds of adaptation; the defaults are chosen on validation actors (`docs/adaptation.md`)."""

    prior_seconds: float = math.inf
    """Weight of the training mean of the features, in seconds of gated speech. Infinite by default, which disables
    the offset of the features: they are relative to the utterance and trained with random offsets, so it gained
    nothing."""
    logit_prior_seconds: float = 30.0
    """Weight of a zero bias of the logits, in seconds of gated speech."""
    memory_seconds: float = 600.0
    """Largest weight of the speech so far. Older speech fades, so another microphone or voice is followed."""
    bound: float = 0.5
    """Largest offset of a feature, in standard deviations of the training data."""
    logit_bound: float = 0.4
    """Largest offset of a logit."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Statistics of the speech so far: 55 numbers, no label and no audio."""

    seconds: float
    """Gated speech behind the means, with pre-roll and hangover, without faded speech."""
    features: FloatArray
    """Mean of the raw features, shape (46,)."""
    logits: FloatArray
    """Mean `logit_bias` of the utterances, shape (8,)."""
    profile: str = ""
    """Digest of the speaker's profile that the means started from; empty if there was none."""

    def add(self, seconds: float, features: FloatArray, logits: FloatArray, memory_seconds: float) -> Statistics:
        """Return the statistics with one more utterance, weighted by its seconds."""
        kept = min(self.seconds, max(0.0, memory_seconds - seconds))
        share = seconds / (kept + seconds)
        return Statistics(
            kept + seconds,
            self.features + share * (features - self.features),
            self.logits + share * (logits - self.logits),
            self.profile,
        )

    def to_data(self, model: str) -> dict[str, Any]:
        """Return plain data for JSON; `model` is the `model_version`."""
        return {
            "format": FORMAT,
            "model": model,
            **({"profile": self.profile} if self.profile else {}),
            "seconds": round(self.seconds, 3),
            "features": [round(value, 6) for value in self.features.tolist()],
            "logits": [round(value, 6) for value in self.logits.tolist()],
        }

    @classmethod
    def from_data(cls, data: object, metadata: ModelMetadata) -> Statistics:
        """Read and check plain data.

        Raises:
            AdaptationError: the data are damaged, belong to another model, or are out of range.
        """
        if not isinstance(data, Mapping):
            raise AdaptationError("holds no adaptation")
        if data.get("format") != FORMAT:
            raise AdaptationError(f"has format {data.get('format')!r:.20}, this program reads {FORMAT}")
        model = model_version(metadata)
        if data.get("model") != model:
            raise AdaptationError(f"belongs to the model {data.get('model')!r:.60}, but the model is {model!r}")
        seconds = _read_numbers(data, "seconds", 1)[0]
        if not seconds > 0:
            raise AdaptationError(f"was made from {seconds:g} seconds of speech, expected more than 0")
        features, logits = _read_numbers(data, "features", SIZE), _read_numbers(data, "logits", len(LABELS))
        away = np.abs(features - metadata.mean) / np.array(metadata.std)
        if away.max() > _MAX_DEVIATION:
            raise AdaptationError(
                f"would move feature {int(away.argmax())} by {away.max():.1f} standard deviations, "
                f"expected at most {_MAX_DEVIATION:g}"
            )
        if np.abs(logits).max() > _MAX_LOGIT:
            raise AdaptationError(f"would move a logit by {np.abs(logits).max():.1f}, expected at most {_MAX_LOGIT:g}")
        profile = data.get("profile")
        return cls(float(seconds), features, logits, profile if isinstance(profile, str) else "")


class Adaptation:
    """Statistics of one microphone and voice, and the speaker offset that follows from them."""

    def __init__(
        self,
        metadata: ModelMetadata,
        statistics: Statistics | None = None,
        strength: AdaptationStrength | None = None,
        *,
        profile: Statistics | None = None,
        fixed: bool = False,
        head: TaughtHead | None = None,
    ) -> None:
        """Start from earlier statistics.

        Args:
            metadata: of the network.
            statistics: of earlier speech, profile included. `None` starts from the profile.
            strength: speed and bounds.
            profile: statistics of a speaker to start from and to reset to. `None` means no offset.
            fixed: disables learning.
            head: what the speaker's own examples change; `teach` replaces it.

        Raises:
            SerError: the network cannot be adapted, see `ModelMetadata.required_class_mean_logits`.
        """
        self._class_means = np.array(metadata.required_class_mean_logits())
        self._mean, self._std = np.array(metadata.mean), np.array(metadata.std)
        self._strength = strength or AdaptationStrength()
        self._profile, self._fixed, self._head = profile, fixed, head
        self.model = model_version(metadata)
        """The `model_version` of the network."""
        self._use(statistics or profile)

    @property
    def statistics(self) -> Statistics | None:
        """Statistics so far, profile included, or `None`. They are immutable, so any thread may read them."""
        return self._statistics

    @property
    def offset(self) -> SpeakerOffset:
        """The current offset. An utterance keeps the offset that it started with."""
        return self._offset

    def teach(self, head: TaughtHead | None) -> None:
        """Use another head from the next utterance on."""
        self._head = head
        self._use(self._statistics)

    def learn(self, total: FloatArray, frames: int, logits: Logits) -> None:
        """Add an utterance that has ended. Values that are not finite are skipped.

        Args:
            total: sum of the raw frames, shape (46,).
            frames: number of frames.
            logits: those of `SpeakerOffset.apply_head`, shape (8,).
        """
        if self._fixed or frames == 0 or not (np.isfinite(total).all() and np.isfinite(logits).all()):
            return
        # Digital silence would be out of range. The factor leaves room for the rounding in a file.
        reach = 0.9 * _MAX_DEVIATION * self._std
        features = np.clip(total / frames, self._mean - reach, self._mean + reach)
        bias = logit_bias(logits, self._offset.apply_to_logits(logits), self._class_means)
        bias = np.clip(bias, -0.9 * _MAX_LOGIT, 0.9 * _MAX_LOGIT)
        before = self._statistics or Statistics(0.0, self._mean, np.zeros(len(LABELS)))
        self._use(before.add(frames * HOP / SAMPLE_RATE, features, bias, self._strength.memory_seconds))

    def reset(self) -> None:
        """Go back to the profile, or to no offset."""
        self._use(self._profile)

    def _use(self, statistics: Statistics | None) -> None:
        self._statistics = statistics
        offset = NO_OFFSET if statistics is None else self._offset_from(statistics)
        self._offset = offset if self._head is None else replace(offset, name="taught", head=self._head)

    def _offset_from(self, statistics: Statistics) -> SpeakerOffset:
        strength = self._strength
        features = (statistics.features - self._mean) * _weight(statistics.seconds, strength.prior_seconds)
        logits = statistics.logits * _weight(statistics.seconds, strength.logit_prior_seconds)
        reach = strength.bound * self._std
        return SpeakerOffset(
            "running" if self._profile is None else "profile",
            np.clip(features, -reach, reach).astype(np.float32),
            np.clip(logits, -strength.logit_bound, strength.logit_bound).astype(np.float32),
        )


def model_version(metadata: ModelMetadata) -> str:
    """Name and digest of a network; statistics are valid for one network only.

    All networks of a size share the name. The digest covers the training means and the class-mean logits.
    """
    numbers = json.dumps([metadata.mean, metadata.std, metadata.typical_logits])
    return f"{metadata.name} {hashlib.sha256(numbers.encode()).hexdigest()[:12]}"


def _weight(seconds: float, prior: float) -> float:
    return seconds / (seconds + prior) if math.isfinite(prior) else 0.0


def _read_numbers(data: Mapping[Any, Any], name: str, count: int) -> FloatArray:
    value = data.get(name)
    values: list[Any] = value if isinstance(value, list) else [value]
    if len(values) != count or not all(is_finite(one) for one in values):
        raise AdaptationError(f"is damaged: {name}: expected {count} number{'s' if count > 1 else ''}")
    return np.array(values, dtype=np.float64)
