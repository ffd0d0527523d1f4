"""The machine and the versions, in words."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

LIBRARIES = ("ser-daemon", "numpy", "onnxruntime", "sounddevice", "soxr")


def machine() -> str:
    """Describe the machine, its load and the versions in two lines."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{processor()}, {os.cpu_count()} cores, load {load}\n"
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def processor() -> str:
    """Return the name of the processor."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()
