"""Out-of-distribution score: how far a sound is from the training speech, from logits or embedding."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ser_model.scoring.logit_bias import is_finite

Array = npt.NDArray[np.floating]

OodMethod = Literal["energy", "mahalanobis"]

_MOST_CLASSES: Final = 64
"""Every class costs time with each result; there are eight emotions."""

METHODS: Final[tuple[OodMethod, ...]] = ("energy", "mahalanobis")


@dataclass(frozen=True, slots=True, kw_only=True)
class OodParameters:
    """Method, limits and matrices of the score.

    `energy` is the negative log of the sum of the logits' exponentials (Liu et al. 2020, arXiv 2010.03759).
    `mahalanobis` is the squared Mahalanobis distance of the embedding to the nearest class mean, with the covariance
    shared by the classes (Lee et al. 2018, arXiv 1807.03888).
    """

    method: OodMethod
    limit: float
    """Score above which a whole utterance is out of distribution."""
    window_limit: float
    """Score above which the window of a partial answer is out of distribution."""
    means: tuple[tuple[float, ...], ...] = ()
    """Whitened class means, shape (classes, hidden); empty with `energy`."""
    whitening: tuple[tuple[float, ...], ...] = ()
    """Upper triangular matrix that whitens a column vector, shape (hidden, hidden); empty with `energy`."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> OodParameters:
        """Read the result of `to_mapping`.

        Raises:
            ValueError: a value is invalid.
            TypeError: a value is missing or has the wrong type.
        """
        rows = {name: tuple(map(tuple, values.get(name, ()))) for name in ("means", "whitening")}
        made = cls(**{**values, **rows})
        if made.method not in METHODS:
            raise ValueError(f"unlike_speech: no method {reprlib.repr(made.method)}")
        if not all(is_finite(limit) for limit in (made.limit, made.window_limit)):
            raise ValueError("unlike_speech: a limit is no number")
        if made.method == "mahalanobis":
            means, whitening = (np.array(rows[name]) for name in ("means", "whitening"))
            # The squares of larger numbers may be too large for a float.
            if any(array.dtype.kind not in "if" or not np.all(np.abs(array) <= 1e9) for array in (means, whitening)):
                raise ValueError("unlike_speech: expected finite numbers as means and whitening")
            if means.ndim != 2 or whitening.shape != (means.shape[1],) * 2 or not len(means):
                raise ValueError(f"unlike_speech: means {means.shape} do not fit {whitening.shape}")
            if len(means) > _MOST_CLASSES:
                raise ValueError(f"unlike_speech: expected at most {_MOST_CLASSES} means, found {len(means)}")
        return made

    def to_mapping(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


class OodScorer:
    """Computes the score."""

    def __init__(self, parameters: OodParameters) -> None:
        self.parameters = parameters
        self._means = np.array(parameters.means, dtype=np.float64)
        self._whitening = np.array(parameters.whitening, dtype=np.float64)

    def scores(self, logits: Array, embeddings: Array) -> npt.NDArray[np.float64]:
        """Return the scores of utterances or windows.

        Args:
            logits: shape (n, 8).
            embeddings: shape (n, hidden).

        Returns:
            shape (n,), higher for sound that is less like the training speech
        """
        if self.parameters.method == "energy":
            return energy(logits)
        whitened = np.asarray(embeddings, dtype=np.float64) @ self._whitening.T
        return np.asarray(np.square(whitened[:, None] - self._means[None]).sum(axis=2).min(axis=1))

    def is_out_of_distribution(self, logits: Array, embedding: Array, *, window: bool) -> bool:
        """Whether the score of one utterance or window is above its limit; logits (8,), embedding (hidden,)."""
        limit = self.parameters.window_limit if window else self.parameters.limit
        return bool(self.scores(logits[None], embedding[None])[0] > limit)


def energy(logits: Array) -> npt.NDArray[np.float64]:
    """Negative log of the sum of the exponentials, shape (n,) from (n, 8).

    Examples:
        >>> energy(np.log([[1.0, 2.0, 5.0]])).round(4).tolist()
        [-2.0794]
    """
    values = np.asarray(logits, dtype=np.float64)
    peak = values.max(axis=-1)
    return np.asarray(-(peak + np.log(np.exp(values - peak[..., None]).sum(axis=-1))))
