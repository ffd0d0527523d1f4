"""How unlike the speech that a network knows something sounds, from what the network computes anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]

METHODS: Final = ("energy", "mahalanobis")


@dataclass(frozen=True, slots=True, kw_only=True)
class OodParameters:
    """A score that is high for what sounds like nothing the network was trained on, and where it is too high.

    `energy` is the negative log of the sum of the logits' exponentials (Liu et al. 2020, arXiv 2010.03759).
    `mahalanobis` is the squared distance of the embedding to the nearest of the classes' means, in the covariance
    that the classes share (Lee et al. 2018, arXiv 1807.03888).
    """

    method: str
    """`energy` or `mahalanobis`."""
    limit: float
    """Score above which a whole utterance counts as unlike speech."""
    window_limit: float
    """The same for a window behind a partial answer."""
    means: tuple[tuple[float, ...], ...] = ()
    """Whitened means of the classes, shape (classes, hidden); empty with `energy`."""
    whitening: tuple[tuple[float, ...], ...] = ()
    """Upper triangular matrix that the embedding is multiplied by from the left, shape (hidden, hidden)."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> OodParameters:
        """Read what `to_mapping` wrote.

        Raises:
            ValueError: it says something impossible.
            TypeError: a value is missing or of another kind.
        """
        rows = {name: tuple(map(tuple, values.get(name, ()))) for name in ("means", "whitening")}
        made = cls(**{**values, **rows})
        if made.method not in METHODS:
            raise ValueError(f"unlike_speech: no method {made.method!r}")
        if not np.isfinite([made.limit, made.window_limit]).all():
            raise ValueError("unlike_speech: a limit is no number")
        if made.method == "mahalanobis":
            means, whitening = (np.array(rows[name], dtype=np.float64) for name in ("means", "whitening"))
            if means.ndim != 2 or whitening.shape != (means.shape[1],) * 2 or not len(means):
                raise ValueError(f"unlike_speech: means {means.shape} do not fit {whitening.shape}")
        return made

    def to_mapping(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return asdict(self)


class OodScorer:
    """Computes the score; holds the matrices as arrays."""

    def __init__(self, parameters: OodParameters) -> None:
        self.parameters = parameters
        self._means = np.array(parameters.means, dtype=np.float64)
        self._whitening = np.array(parameters.whitening, dtype=np.float64)

    def scores(self, logits: Numbers, embeddings: Numbers) -> npt.NDArray[np.float64]:
        """Scores of some utterances or windows.

        Args:
            logits: shape (n, 8).
            embeddings: shape (n, hidden).

        Returns:
            shape (n,), higher for what is less like speech
        """
        if self.parameters.method == "energy":
            return energy(logits)
        whitened = np.asarray(embeddings, dtype=np.float64) @ self._whitening.T
        return np.asarray(np.square(whitened[:, None] - self._means[None]).sum(axis=2).min(axis=1))

    def is_out_of_distribution(self, logits: Numbers, embedding: Numbers, *, window: bool) -> bool:
        """Whether one utterance (or window) is beyond the limit; logits of shape (8,), embedding (hidden,)."""
        limit = self.parameters.window_limit if window else self.parameters.limit
        return bool(self.scores(logits[None], embedding[None])[0] > limit)


def energy(logits: Numbers) -> npt.NDArray[np.float64]:
    """Negative log of the sum of the exponentials, shape (n,) from (n, 8)."""
    values = np.asarray(logits, dtype=np.float64)
    peak = values.max(axis=-1)
    return np.asarray(-(peak + np.log(np.exp(values - peak[..., None]).sum(axis=-1))))
