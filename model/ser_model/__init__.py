"""From samples to emotion: gate, features, network and decision, without threads, clocks or sockets."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime sends telemetry unless this is set before its first import (it would otherwise write a device
# id below ~/.cache and open an uploader).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# One core is plenty for this arithmetic; idle BLAS worker threads only cost memory and wake-ups.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from ser_model.audio.files import read_audio
    from ser_model.network.estimator import Model
    from ser_model.recognizer import Recognizer

__version__ = "0.1.0"
__all__ = ["Model", "Recognizer", "read_audio"]

_HOMES = {"Model": "network.estimator", "Recognizer": "recognizer", "read_audio": "audio.files"}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): a client that only needs the version shall not load ONNX Runtime."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
