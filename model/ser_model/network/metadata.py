"""The model file's own description: what it was made for, and whether this program can use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ser_model.errors import SerError
from ser_model.features.features import RECIPE
from ser_model.labels import LABELS
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from
from ser_model.scoring.ood import OodParameters
from ser_model.scoring.temperature import Temperature

FORMAT_VERSION: Final = 1
"""Grows when older programs would misread a newer file."""

MODES: Final = ("window", "stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """Kept in the ONNX file's metadata_props, each value as JSON."""

    mode: str
    """`window` or `stream`."""
    variant: str
    """Such as `h64`."""
    hidden: int
    """Size of the second LSTM's state."""
    mean: tuple[float, ...]
    """Of the 46 raw features over the training data; the graph itself normalises with it."""
    std: tuple[float, ...]
    temperature: float
    """Divisor of the logits that makes the confidence honest, once enough was heard: see `Temperature`."""
    short_temperature: float | None = None
    """The same when little was heard; None, as in older files: `temperature`."""
    calibrated: bool = False
    """Whether both were fitted on speakers that the networks had not heard; older files don't say."""
    unknown_below: float
    """Confidence under which the answer is `unknown`."""
    unlike_speech: OodParameters | None = None
    """What sounds like nothing that the network was trained on; None, as in older files: not known."""
    typical_logits: ClassMeanLogits | None = None
    """What adaptation takes off before it learns; None, as in older files: the model can't be adapted."""
    training_data: str
    licence: str
    labels: tuple[str, ...] = LABELS
    features: Mapping[str, Any]
    """The recipe: see `ser_model.features.features.RECIPE`."""
    format_version: int = FORMAT_VERSION

    @property
    def name(self) -> str:
        """Such as `reslstm-sa-h64`."""
        return f"reslstm-sa-{self.variant}"

    def temperatures(self) -> Temperature:
        """By how much was heard."""
        short = self.temperature if self.short_temperature is None else self.short_temperature
        return Temperature(short, self.temperature)

    def required_class_mean_logits(self) -> ClassMeanLogits:
        """`typical_logits`, for adaptation.

        Raises:
            SerError: there are none.
        """
        if self.typical_logits is None:
            raise SerError(
                f"The model {self.name} can't be adapted: its file doesn't say which logits are typical of an answer; "
                "run `ser-calibrate adaptation` on its run and `ser-model export` again."
            )
        return self.typical_logits

    def to_properties(self) -> dict[str, str]:
        """Names and JSON texts, as they stand in the file."""
        values = {name: getattr(self, name) for name in self.__slots__}
        if self.unlike_speech is not None:
            values["unlike_speech"] = self.unlike_speech.to_mapping()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], path: Path | str, mode: str) -> ModelMetadata:
        """Read and judge a file's properties.

        Raises:
            SerError: not made by this project, of a newer format, for other labels or features, or of another mode.
        """
        if "format_version" not in properties:
            raise SerError(f"{path}: expected a model made by `ser-model export`, found an ONNX file of another kind")
        try:
            values = {name: json.loads(properties[name]) for name in cls.__slots__ if name in properties}
            version = int(values.pop("format_version"))
            if version > FORMAT_VERSION:
                raise SerError(
                    f"{path}: has model format {version}, this program reads up to {FORMAT_VERSION}; update ser-daemon"
                )
            for name in ("mean", "std", "labels"):
                values[name] = tuple(values[name])
            if not isinstance(values["hidden"], int):
                raise TypeError(f"hidden is {values['hidden']!r}")
            for name in ("temperature", "short_temperature", "unknown_below"):
                if values.get(name) is not None:
                    values[name] = float(values[name])
            if values.get("unlike_speech") is not None:
                values["unlike_speech"] = OodParameters.from_mapping(values["unlike_speech"])
            if values.get("typical_logits") is not None:
                values["typical_logits"] = class_mean_logits_from(values["typical_logits"])
            metadata = cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SerError(f"{path}: its description is damaged ({error}); export the model again") from error
        metadata._check(path, mode)
        return metadata

    def _check(self, path: Path | str, mode: str) -> None:
        if self.labels != LABELS:
            raise SerError(f"{path}: expected the labels {', '.join(LABELS)}, found {', '.join(map(str, self.labels))}")
        other = sorted(key for key in {*RECIPE, *self.features} if self.features.get(key) != RECIPE.get(key))
        if other:
            found = ", ".join(f"{key}={self.features.get(key)!r}" for key in other)
            wanted = ", ".join(f"{key}={RECIPE.get(key)!r}" for key in other)
            raise SerError(f"{path}: was trained on other features ({found}); this program computes {wanted}")
        if self.mode != mode:
            raise SerError(f"{path}: is the {self.mode} graph, expected the {mode} graph; are the two files swapped?")
        temperatures = [one for one in (self.temperature, self.short_temperature) if one is not None]
        if not all(one > 0 for one in temperatures) or not 0 <= self.unknown_below <= 1:
            shown = " and ".join(map(str, temperatures))
            raise SerError(f"{path}: temperature {shown} or threshold {self.unknown_below} is impossible")
        unlike = self.unlike_speech
        if unlike is not None and unlike.method == "mahalanobis" and len(unlike.whitening) != self.hidden:
            raise SerError(
                f"{path}: knows speech by embeddings of {len(unlike.whitening)} numbers, "
                f"but its network makes {self.hidden}; export the model again"
            )
