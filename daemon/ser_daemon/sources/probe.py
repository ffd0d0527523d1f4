"""Try the sound system in a child process: a library that ends its process then ends only the child.

PortAudio and the plug-ins of ALSA run in the process that uses them, and an assertion or a fault in them ends it. The
daemon itself does without this probe, which would lengthen every start: it checks what is known to end the process
(`alsa_config`), and the service manager starts it again after anything else.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import RESPONSE_SECONDS, DeviceError, NoResponse
from ser_model.c_stderr import keep_c_stderr
from ser_model.errors import SerError

_START_SECONDS = 5.0
"""Time for the interpreter of the child to start, on a slow machine."""


class SoundSystemCrashError(DeviceError):
    """The sound system ends the process that uses it."""


def probe_sound_system(device: str | None = None) -> None:
    """List the devices in a child process, and open one. Errors that do not end the child are left to the caller.

    Args:
        device: The device to open, as in `AudioConfig.device`; `None` opens none.

    Raises:
        SoundSystemCrashError: The child process was ended by a signal.
        NoResponse: The sound system does not answer.
    """
    command = [sys.executable, "-m", __name__, *([] if device is None else [device])]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=RESPONSE_SECONDS + _START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoResponse from None
    except OSError:
        # Without a child process the caller finds out by itself.
        return
    if done.returncode < 0:
        raise SoundSystemCrashError(_describe_crash(-done.returncode, device, done.stderr))


def _describe_crash(number: int, device: str | None, stderr: bytes) -> str:
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    what = "listing the devices" if device is None else f'opening "{device}"'
    lines = stderr.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    words = f' and the words "{last[-200:]}"' if last else ""
    return (
        f"The sound system ends any program with {name}{words} while {what}; correct ALSA's configuration "
        "(~/.asoundrc, /etc/asound.conf, ALSA_* variables), or install libportaudio2 and libasound2-plugins again."
    )


def main() -> int:
    """List the devices, and open the device that the command line names. Only the end by a signal is of interest."""
    from ser_daemon.sources import list_devices, make_source

    keep_c_stderr()
    try:
        list_devices()
        if sys.argv[1:]:
            source = make_source(AudioConfig(device=sys.argv[1]))
            source.open()
            source.close()
    except SerError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
