"""Models other than the shipped one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ser_model.network.estimator import DEFAULT_MODEL


def without_table(folder: Path) -> Path:
    """The shipped model as it would be if nobody knew which logits are typical of an answer: it can't be adapted."""
    for mode in ("window", "stream"):
        name = f"{DEFAULT_MODEL}.{mode}.onnx"
        content = files("ser_model").joinpath("weights", name).read_bytes()
        # Another name of the same length is an entry that nobody asks for.
        (folder / name).write_bytes(content.replace(b"typical_logits", b"atypical_logit"))
    return folder / DEFAULT_MODEL
