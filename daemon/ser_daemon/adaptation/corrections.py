"""Corrections: utterances whose label a person has told, and the file `taught.json` that keeps them.

The file has a section for each model, since what one network made of an utterance means nothing to another. The
sections of other models are neither used nor deleted.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from ser_daemon.adaptation.files import read_json
from ser_model.adaptation.adaptation import model_version
from ser_model.adaptation.taught_head import TaughtExample, TaughtHead
from ser_model.atomic_file import replace_file
from ser_model.errors import AdaptationError, SerError
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.softmax import softmax

log = logging.getLogger(__name__)

FILE_NAME: Final = "taught.json"

FORMAT: Final = 1
"""Version of the file; increases when older programs would misread it."""

MOST_CORRECTIONS: Final = 500
"""Corrections that are kept for a model."""

_OLDEST: Final = 100
"""Corrections that one is chosen from when there is no room for another."""

MAX_BYTES: Final = 4 << 20
"""Longest file that is read or written: `MOST_CORRECTIONS` of ten models."""


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """An utterance whose label a person has told."""

    example: TaughtExample
    time: str
    """When it was corrected: ISO 8601 in UTC."""
    utterance_id: str = ""
    """As in the events; empty for a correction of an earlier run, which counted its utterances anew."""

    def to_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"time": self.time, **self.example.to_data()}

    @classmethod
    def from_data(cls, data: object, hidden: int) -> Correction:
        """Read and check plain data.

        Raises:
            AdaptationError: the data are damaged.
        """
        example = TaughtExample.from_data(data, hidden)
        time = data.get("time") if isinstance(data, Mapping) else None
        try:
            datetime.fromisoformat(time if isinstance(time, str) else "")
        except ValueError:
            raise AdaptationError(f"is damaged: expected the time of a correction, found {time!r:.40}") from None
        return cls(example, str(time))


def add_correction(
    corrections: Sequence[Correction], correction: Correction, head: TaughtHead | None
) -> tuple[Correction, ...]:
    """Return the corrections with one more, which replaces an earlier one of the same utterance.

    Where there are `MOST_CORRECTIONS`, one of the oldest hundred goes: the one whose label the head gives the highest
    probability. It is the one that is missed least.

    Args:
        corrections: the newest last.
        correction: to be added.
        head: fitted to `corrections`; `None`: the oldest goes.
    """
    kept = [one for one in corrections if not one.utterance_id or one.utterance_id != correction.utterance_id]
    while len(kept) >= MOST_CORRECTIONS:
        explained = [0.0] if head is None else [_probability(one.example, head) for one in kept[:_OLDEST]]
        del kept[int(np.argmax(explained))]
    return (*kept, correction)


def count_labels(examples: Sequence[TaughtExample]) -> dict[str, int]:
    """Count examples by label, in the order of `LABELS`, without labels that have none."""
    counts = Counter(one.label for one in examples)
    return {label: counts[label] for label in LABELS if counts[label]}


def _probability(example: TaughtExample, head: TaughtHead) -> float:
    scores = softmax(head.apply(example.logits, example.embedding) / head.scale)
    return float(scores[LABELS.index(example.label)])


class CorrectionFile:
    """The file of corrections in the state directory, for one model. Its calls may take as long as the disk does."""

    def __init__(self, directory: Path, metadata: ModelMetadata) -> None:
        self._path = directory / FILE_NAME
        self._model = model_version(metadata)
        self._hidden = metadata.hidden
        self._others: dict[str, object] = {}
        """Sections of other models, as they were read."""
        self._wanted: tuple[Correction, ...] | None = None
        """What the file should hold; `None`: there should be none. A call that hangs and is overtaken obeys it too."""
        self._writing = threading.Lock()

    def load(self) -> tuple[Correction, ...]:
        """Return the corrections for this model. A file that can't be used is logged and ignored."""
        try:
            data = read_json(self._path, MAX_BYTES)
        except FileNotFoundError:
            return ()
        except AdaptationError as error:
            log.warning("Corrections ignored: %s; the next correction replaces the file.", error)
            return ()
        try:
            sections = _sections(data)
            own = sections.pop(self._model, [])
            self._others = sections
            if not isinstance(own, list):
                raise AdaptationError("is damaged: expected a list of corrections")
            corrections = tuple(Correction.from_data(one, self._hidden) for one in own[-MOST_CORRECTIONS:])
        except AdaptationError as error:
            log.warning("Corrections ignored: %s: %s; the next correction replaces them.", self._path, error)
            return ()
        if sections and not corrections:
            log.info(
                "Corrections of another model are not used: %s has those of %s, but the model is %r.",
                self._path,
                ", ".join(f"{model!r:.60}" for model in sections),
                self._model,
            )
        return corrections

    def store(self, corrections: tuple[Correction, ...]) -> None:
        """Write the corrections in one step.

        Raises:
            SerError: they can't be written; the old file is as it was.
        """
        self._wanted = corrections
        with self._writing:
            try:
                self._replace()
            except OSError as error:
                raise SerError(
                    f"In force until the next start only: {self._path} can't be written ({error.strerror})."
                ) from None

    def _replace(self) -> None:
        if self._wanted is None:
            return
        models = {**self._others, self._model: [one.to_data() for one in self._wanted]}
        content = json.dumps({"format": FORMAT, "models": models}) + "\n"
        if len(content) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it would be larger than {MAX_BYTES >> 20} MiB")
        replace_file(self._path, content, 0o600)

    def forget(self) -> bool:
        """Remove the file, with the corrections of all models; return whether there was one.

        Raises:
            SerError: it can't be removed.
        """
        self._wanted = None
        with self._writing:
            self._others = {}
            try:
                self._path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
            except OSError as error:
                raise SerError(
                    f"Forgotten until the next start only: {self._path} can't be removed ({error.strerror}); "
                    "remove it by hand."
                ) from None
            return True


def _sections(data: object) -> dict[str, object]:
    """Return the sections of the models.

    Raises:
        AdaptationError: the data are damaged.
    """
    if not isinstance(data, Mapping):
        raise AdaptationError("holds no corrections")
    if data.get("format") != FORMAT:
        raise AdaptationError(f"has format {data.get('format')!r:.20}, this program reads {FORMAT}")
    models = data.get("models")
    if not isinstance(models, dict):
        raise AdaptationError("is damaged: expected a list of corrections for each model")
    return dict(models)
