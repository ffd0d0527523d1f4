"""Speech emotion recognition: gate, features, network and decision, without threads, clocks or sockets."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Must be set before the first import of ONNX Runtime: it would write a device id below ~/.cache and send telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# The matrices are small: more BLAS threads cost memory and wake-ups and gain nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from ser_model.audio.files import read_audio
    from ser_model.network.estimator import Model
    from ser_model.recognizer import Recognizer

__version__ = "0.2.0"
__all__ = ["Model", "Recognizer", "read_audio"]

_MODULES = {"Model": "network.estimator", "Recognizer": "recognizer", "read_audio": "audio.files"}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562), so that importing the package loads neither NumPy nor ONNX Runtime."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
