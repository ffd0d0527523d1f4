"""From samples to emotion: gate, features, network and decision, without threads, clocks or sockets."""

import os

# ONNX Runtime sends telemetry unless this is set before its first import (it would otherwise write a device
# id below ~/.cache and open an uploader).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# One core is plenty for this arithmetic; idle BLAS worker threads only cost memory and wake-ups.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

__version__ = "0.1.0"
