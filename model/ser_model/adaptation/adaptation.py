"""Adaptation: running statistics of what was heard move the answers towards this microphone and this voice.

The map is an offset of the raw features before the graph and one of the logits behind it, the identity until something
was heard. Both are means by maximum a posteriori (Gauvain & Lee 1994, doi 10.1109/89.279278): what was heard weighs its
seconds, the network's own values weigh a prior number of seconds, and no offset passes a bound.

Whoever is angry for a minute is not to become the measure of calm. So the logits' offset is not the mean of the logits
but of what is left of them once the logits that are typical of the answer are taken off: it says how the network leans
with this voice, whatever the voice expressed. What is typical is read from the model's file; what all this is worth,
and costs, is measured (`ser-calibrate adaptation`, which finds out what is typical too).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ser_model.adaptation.speaker_offset import IDENTITY, PROFILE, RUNNING, Logits, SpeakerOffset
from ser_model.errors import SerError
from ser_model.features.features import HOP, SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.logit_bias import Numbers, is_finite, logit_bias
from ser_model.types import SAMPLE_RATE

FORMAT: Final = 1
"""Version of the plain data; grows when older programs would misread it."""

_FARTHEST = 5.0
"""Standard deviations from the network's mean beyond which a mean is no speech; the graph clips there too."""
_FARTHEST_LOGIT = 20.0


class AdaptationError(SerError):
    """Statistics that cannot be used; the text says why, without naming the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationStrength:
    """How fast and how far; chosen on validation actors (`docs/adaptation.md`)."""

    prior_seconds: float = math.inf
    """Weight of the network's own mean, in seconds of gated speech. Infinite, so that features don't move: relative to
    the utterance and trained under random offsets as they are, nothing was gained by moving them."""
    logit_prior_seconds: float = 30.0
    """The same for the logits."""
    memory_seconds: float = 600.0
    """Longest weight of what was heard: older speech fades, so that another microphone or voice is followed."""
    bound: float = 0.5
    """Largest offset of a feature, in standard deviations of the training data."""
    logit_bound: float = 0.4
    """Largest offset of a logit."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What is remembered of all that was heard: 55 numbers, no label and no audio."""

    seconds: float
    """Gated speech behind the means, pre-roll and hangover included; what has faded doesn't count."""
    features: Numbers
    """Mean of the raw features, shape (46,)."""
    logits: Numbers
    """Mean of what `logit_bias` leaves of the utterances' logits, shape (8,)."""
    profile: str = ""
    """Digest of the speaker's profile that the means began with; empty: they began with nothing."""

    def add(self, seconds: float, features: Numbers, logits: Numbers, memory_seconds: float) -> Statistics:
        """Return the statistics with an utterance more, each weighing its seconds."""
        kept = min(self.seconds, max(0.0, memory_seconds - seconds))
        share = seconds / (kept + seconds)
        return Statistics(
            kept + seconds,
            self.features + share * (features - self.features),
            self.logits + share * (logits - self.logits),
            self.profile,
        )

    def to_data(self, model: str) -> dict[str, Any]:
        """Plain numbers, ready for JSON; `model` is `model_version`'s."""
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
        """Read and judge what `to_data` gave.

        Raises:
            AdaptationError: it is something else, belongs to another model, or lies outside what speech can be.
        """
        if not isinstance(data, Mapping):
            raise AdaptationError("holds no adaptation")
        if data.get("format") != FORMAT:
            raise AdaptationError(f"has format {data.get('format')!r:.20}, this program reads {FORMAT}")
        model = model_version(metadata)
        if data.get("model") != model:
            raise AdaptationError(f"belongs to the model {data.get('model')!r:.60}, but the model is {model!r}")
        seconds = _numbers(data, "seconds", 1)[0]
        if not seconds > 0:
            raise AdaptationError(f"was made from {seconds:g} seconds of speech, expected more than 0")
        features, logits = _numbers(data, "features", SIZE), _numbers(data, "logits", len(LABELS))
        away = np.abs(features - metadata.mean) / np.array(metadata.std)
        if away.max() > _FARTHEST:
            raise AdaptationError(
                f"would move feature {int(away.argmax())} by {away.max():.1f} standard deviations, "
                f"expected at most {_FARTHEST:g}"
            )
        if np.abs(logits).max() > _FARTHEST_LOGIT:
            raise AdaptationError(
                f"would move a logit by {np.abs(logits).max():.1f}, expected at most {_FARTHEST_LOGIT:g}"
            )
        profile = data.get("profile")
        return cls(float(seconds), features, logits, profile if isinstance(profile, str) else "")


class Adaptation:
    """Statistics of one microphone and voice, and the map that follows from them."""

    def __init__(
        self,
        metadata: ModelMetadata,
        statistics: Statistics | None = None,
        strength: AdaptationStrength | None = None,
        *,
        profile: Statistics | None = None,
        fixed: bool = False,
    ) -> None:
        """Begin with what was heard before.

        Args:
            metadata: of the network whose features are moved.
            statistics: with the profile that they began with; None: nothing since.
            strength: how fast and how far.
            profile: a speaker's, to begin with and to go back to; None: the identity.
            fixed: nothing is learnt.

        Raises:
            SerError: the network can't be adapted, see `ModelMetadata.required_class_mean_logits`.
        """
        self._typical = np.array(metadata.required_class_mean_logits())
        self._mean, self._std = np.array(metadata.mean), np.array(metadata.std)
        self._strength = strength or AdaptationStrength()
        self._profile, self._fixed = profile, fixed
        self.model = model_version(metadata)
        """Of which network: see `model_version`."""
        self._use(statistics or profile)

    @property
    def statistics(self) -> Statistics | None:
        """What was heard so far, profile included; None: nothing. Never changed in place: any thread may look."""
        return self._statistics

    @property
    def map(self) -> SpeakerOffset:
        """The present map; an utterance keeps the one that it began with."""
        return self._map

    def learn(self, total: Numbers, frames: int, logits: Logits) -> None:
        """Take an utterance that has ended.

        Args:
            total: sum of its raw frames, shape (46,).
            frames: their number.
            logits: what the network said of it with the map in force, before `SpeakerOffset.judged`, shape (8,).
        """
        if self._fixed or frames == 0 or not (np.isfinite(total).all() and np.isfinite(logits).all()):
            return
        # No utterance, not even of digital silence, may pull harder than speech can; a little less than what a file
        # may hold, for that is rounded.
        reach = 0.9 * _FARTHEST * self._std
        features = np.clip(total / frames, self._mean - reach, self._mean + reach)
        left = logit_bias(logits, self._map.judged(logits), self._typical)
        left = np.clip(left, -0.9 * _FARTHEST_LOGIT, 0.9 * _FARTHEST_LOGIT)
        before = self._statistics or Statistics(0.0, self._mean, np.zeros(len(LABELS)))
        self._use(before.add(frames * HOP / SAMPLE_RATE, features, left, self._strength.memory_seconds))

    def forget(self) -> None:
        """Go back to the profile, or to the identity."""
        self._use(self._profile)

    def _use(self, statistics: Statistics | None) -> None:
        self._statistics = statistics
        self._map = IDENTITY if statistics is None else self._map_of(statistics)

    def _map_of(self, heard: Statistics) -> SpeakerOffset:
        strength = self._strength
        features = (heard.features - self._mean) * _weight(heard.seconds, strength.prior_seconds)
        logits = heard.logits * _weight(heard.seconds, strength.logit_prior_seconds)
        reach = strength.bound * self._std
        return SpeakerOffset(
            RUNNING if self._profile is None else PROFILE,
            np.clip(features, -reach, reach).astype(np.float32),
            np.clip(logits, -strength.logit_bound, strength.logit_bound).astype(np.float32),
        )


def model_version(metadata: ModelMetadata) -> str:
    """Name and digest of a network: statistics of one mean nothing to another.

    The name alone is shared by all networks of a size; the means of their training data, and what is typical, are not.
    """
    numbers = json.dumps([metadata.mean, metadata.std, metadata.typical_logits])
    return f"{metadata.name} {hashlib.sha256(numbers.encode()).hexdigest()[:12]}"


def _weight(seconds: float, prior: float) -> float:
    return seconds / (seconds + prior) if math.isfinite(prior) else 0.0


def _numbers(data: Mapping[Any, Any], name: str, count: int) -> Numbers:
    value = data.get(name)
    values: list[Any] = value if isinstance(value, list) else [value]
    if len(values) != count or not all(is_finite(one) for one in values):
        raise AdaptationError(f"is damaged: {name}: expected {count} number{'s' if count > 1 else ''}")
    return np.array(values, dtype=np.float64)
