"""The microphone service: devices, threads, sockets, lifecycle and command lines."""

# Importing ser_model first sets the environment that ONNX Runtime and BLAS read at their own import.
from ser_model import __version__

__all__ = ["__version__"]
