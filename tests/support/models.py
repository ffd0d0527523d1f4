"""Variants of the bundled model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ser_model.network.estimator import DEFAULT_MODEL


def without_class_mean_logits(folder: Path) -> Path:
    """Write a copy of the bundled model without its class-mean logits, which therefore cannot be adapted."""
    for mode in ("window", "stream"):
        name = f"{DEFAULT_MODEL}.{mode}.onnx"
        content = files("ser_model").joinpath("weights", name).read_bytes()
        # An unknown name of the same length hides the entry.
        (folder / name).write_bytes(content.replace(b"typical_logits", b"atypical_logit"))
    return folder / DEFAULT_MODEL
