"""Metadata of a model file, and the check that this program can use the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ser_model.errors import SerError
from ser_model.features.features import RECIPE, SIZE
from ser_model.labels import LABELS
from ser_model.network.graph_check import MOST_CELLS
from ser_model.network.metadata_values import Values, shown
from ser_model.network.model_files import MODES, Mode
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.logit_bias import ClassMeanLogits
from ser_model.scoring.ood import OodParameters
from ser_model.scoring.temperature import Temperature

FORMAT_VERSION: Final = 1
"""Increases when older programs would misread a newer file."""

_TEMPERATURES: Final = (0.01, 100.0)
"""Range of a temperature; `ser-calibrate confidence` searches 0.5 to 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """Metadata in the file's `metadata_props`. The keys are the names of the fields, the values are JSON."""

    mode: Mode
    """Which graph of the pair."""
    variant: str
    """Size of the network, such as `h64`; what follows a hyphen tells networks of one size apart."""
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
    activation: ActivationParameters | None = None
    """Parameters of the activation. `None`, as in older files, means that there is none."""
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

    @property
    def whitening(self) -> tuple[tuple[float, ...], ...]:
        """Whitens an embedding within the labels, shape (hidden, hidden); empty where the file doesn't say how."""
        return () if self.unlike_speech is None else self.unlike_speech.whitening

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
        for name in ("unlike_speech", "activation"):
            if values[name] is not None:
                values[name] = values[name].to_mapping()
        return {name: json.dumps(value) for name, value in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], path: Path | str, mode: str | None) -> ModelMetadata:
        """Read and check the properties of a file.

        Args:
            properties: keys and JSON texts.
            path: of the file, for messages.
            mode: the expected mode; `None`: any.

        Raises:
            SerError: the model was not made by this project, has a newer format, other labels, other features or
                another mode; or a value is missing, has another type, or is impossible.
        """
        if "format_version" not in properties:
            raise SerError(f"{path}: expected a model made by `ser-model export`, found an ONNX file of another kind")
        values = Values(properties)
        try:
            version = values.integer("format_version", 1, 1 << 31)
            if version > FORMAT_VERSION:
                raise SerError(
                    f"{path}: has model format {version}, this program reads up to {FORMAT_VERSION}; update ser-daemon"
                )
            metadata = cls._read(values)
        except ValueError as error:
            raise SerError(f"{path}: its description is damaged ({error}); export the model again") from error
        metadata._check(path, mode)
        return metadata

    @classmethod
    def _read(cls, values: Values) -> ModelMetadata:
        mode = values.text("mode")
        if mode not in MODES:
            raise ValueError(f"expected window or stream as mode, found {shown(mode)}")
        short = values.load("short_temperature") if "short_temperature" in values else None
        return cls(
            mode=mode,
            variant=values.text("variant"),
            hidden=values.integer("hidden", 1, MOST_CELLS),
            mean=values.numbers("mean", SIZE),
            std=values.numbers("std", SIZE),
            temperature=values.number("temperature", *_TEMPERATURES),
            short_temperature=None if short is None else values.number("short_temperature", *_TEMPERATURES),
            calibrated="calibrated" in values and values.flag("calibrated"),
            unknown_below=values.number("unknown_below", 0, 1),
            unlike_speech=values.ood("unlike_speech"),
            typical_logits=values.class_mean_logits("typical_logits"),
            activation=values.activation("activation"),
            training_data=values.text("training_data"),
            licence=values.text("licence"),
            labels=values.texts("labels"),
            features=values.mapping("features"),
        )

    def _check(self, path: Path | str, mode: str | None) -> None:
        if self.labels != LABELS:
            found = ", ".join(shown(label)[1:-1] for label in self.labels[:10])
            raise SerError(f"{path}: expected the labels {', '.join(LABELS)}, found {found}")
        other = sorted(key for key in {*RECIPE, *self.features} if self.features.get(key) != RECIPE.get(key))
        if other:
            found = ", ".join(f"{shown(key)[1:-1]}={shown(self.features.get(key))}" for key in other[:10])
            wanted = ", ".join(f"{shown(key)[1:-1]}={shown(RECIPE.get(key))}" for key in other[:10])
            raise SerError(f"{path}: was trained on other features ({found}); this program computes {wanted}")
        if mode not in (None, self.mode):
            raise SerError(f"{path}: is the {self.mode} graph, expected the {mode} graph; are the two files swapped?")
        if min(self.std) <= 0:
            raise SerError(f"{path}: a standard deviation of the features is not above 0; export the model again")
        ood = self.unlike_speech
        if ood is not None and ood.method == "mahalanobis" and len(ood.whitening) != self.hidden:
            raise SerError(
                f"{path}: knows speech by embeddings of {len(ood.whitening)} numbers, "
                f"but its network makes {self.hidden}; export the model again"
            )
        if self.variant.partition("-")[0] != f"h{self.hidden}":
            raise SerError(
                f"{path}: is called variant {shown(self.variant)[1:-1]}, but has {self.hidden} cells; "
                "export the model again"
            )
        if not self.training_data or not self.licence:
            raise SerError(
                f"{path}: doesn't say what it was trained on and under which licence; export the model again"
            )
