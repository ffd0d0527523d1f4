"""Check ALSA's configuration before PortAudio reads it.

PortAudio searches the configuration for `pcm`, and an assertion ends the process if there is none (the function
BuildDeviceList in pa_linux_alsa.c). That happens where the file `alsa.conf` is missing. libasound keeps what was read
here for PortAudio, so the check costs nothing that would not be spent anyway.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

from ser_daemon.sources.base import DeviceError

LIBRARY = "libasound.so.2"

_VARIABLES = ("ALSA_CONFIG_PATH", "ALSA_CONFIG_DIR")
"""Environment variables that replace the usual place of `alsa.conf`."""


def check_alsa_config(environ: Mapping[str, str] = os.environ) -> None:
    """Check that ALSA's configuration can be read and describes devices.

    Does nothing where there is no libasound, or one that is too old for the check.

    Raises:
        DeviceError: The configuration is missing or damaged.
    """
    try:
        asound = ctypes.CDLL(LIBRARY)
        update, search, release = asound.snd_config_update_ref, asound.snd_config_search, asound.snd_config_unref
    except (OSError, AttributeError):
        return
    search.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    release.argtypes = [ctypes.c_void_p]
    top = ctypes.c_void_p()
    error = update(ctypes.byref(top))
    if error < 0 or not top:
        raise DeviceError(f"The configuration of ALSA is damaged ({_describe(asound, error)}); {_advice(environ)}.")
    try:
        if search(top, b"pcm", None) < 0:
            raise DeviceError(f"The configuration of ALSA is missing, or names no devices; {_advice(environ)}.")
    finally:
        release(top)


def _describe(asound: Any, error: int) -> str:
    asound.snd_strerror.restype = ctypes.c_char_p
    text: bytes = asound.snd_strerror(error)
    return text.decode(errors="replace")


def _advice(environ: Mapping[str, str]) -> str:
    """Return what to do: a variable is the likely cause where one is set."""
    for name in _VARIABLES:
        if name in environ:
            return f"the environment has {name}={environ[name][:200]}: unset it, or correct the file"
    return "correct ~/.asoundrc or /etc/asound.conf, or install the package libasound2-data again"
