"""Metadata of a model file, and the check that this program can use the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ser_model.errors import SerError
from ser_model.features.features import RECIPE
from ser_model.labels import LABELS
from ser_model.network.model_files import Mode
from ser_model.scoring.logit_bias import ClassMeanLogits, class_mean_logits_from
from ser_model.scoring.ood import OodParameters
from ser_model.scoring.temperature import Temperature

FORMAT_VERSION: Final = 1
"""Increases when older programs would misread a newer file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """Metadata in the file's `metadata_props`. The keys are the names of the fields, the values are JSON."""

    mode: Mode
    """Which graph of the pair."""
    variant: str
    """Size of the network, such as `h64`."""
    hidden: int
    """Cells of the second LSTM."""
    mean: tuple[float, ...]
    """Mean of the 46 raw features over the training data. The graph itself normalises with it."""
    std: tuple[float, ...]
    """Standard deviation of the same."""
    temperature: float
    """Divisor of the logits for long speech; see `Temperature`."""
    short_temperature: float | None = None
    """Divisor of the logits for short speech. `None`, as in older files, means `temperature`."""
    calibrated: bool = False
    """Whether both temperatures were fitted on held-out speakers. Older files lack it."""
    unknown_below: float
    """Confidence below which the answer is `unknown`."""
    unlike_speech: OodParameters | None = None
    """Parameters of the out-of-distribution score. `None`, as in older files, means that there is no score."""
    typical_logits: ClassMeanLogits | None = None
    """Class-mean logits. `None`, as in older files, means that the model cannot be adapted."""
    training_data: str
    licence: str
    """Licence of the weights."""
    labels: tuple[str, ...] = LABELS
    features: Mapping[str, Any]
    """Settings of the feature extraction; see `ser_model.features.features.RECIPE`."""
    format_version: int = FORMAT_VERSION

    @property
    def name(self) -> str:
        """Name with the variant, such as `reslstm-sa-h64`."""
        return f"reslstm-sa-{self.variant}"

    def temperatures(self) -> Temperature:
        """Temperature by the length of the speech."""
        short = self.temperature if self.short_temperature is None else self.short_temperature
        return Temperature(short, self.temperature)

    def required_class_mean_logits(self) -> ClassMeanLogits:
        """Return `typical_logits`.

        Raises:
            SerError: the model has none.
        """
        if self.typical_logits is None:
            raise SerError(
                f"The model {self.name} can't be adapted: its file doesn't say which logits are typical of an answer; "
                "run `ser-calibrate adaptation` on its run and `ser-model export` again."
            )
        return self.typical_logits

    def to_properties(self) -> dict[str, str]:
        """Keys and JSON texts for the file."""
        values = {name: getattr(self, name) for name in self.__slots__}
        if self.unlike_speech is not None:
            values["unlike_speech"] = self.unlike_speech.to_mapping()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], path: Path | str, mode: str) -> ModelMetadata:
        """Read and check the properties of a file.

        Args:
            properties: keys and JSON texts.
            path: of the file, for messages.
            mode: the expected mode.

        Raises:
            SerError: the model was not made by this project, has a newer format, other labels, other features or
                another mode.
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
        ood = self.unlike_speech
        if ood is not None and ood.method == "mahalanobis" and len(ood.whitening) != self.hidden:
            raise SerError(
                f"{path}: knows speech by embeddings of {len(ood.whitening)} numbers, "
                f"but its network makes {self.hidden}; export the model again"
            )
