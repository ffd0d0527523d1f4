"""`ser-daemon --demo`: use the microphone, or play the bundled recording where there is none."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import AudioFile
from ser_daemon.pipeline.threads import run_with_timeout
from ser_daemon.sources import RESPONSE_SECONDS, DeviceError, NoResponse, make_source
from ser_model.errors import SerError


def bundled_recording() -> Path:
    """Return the path of the bundled recording, in which two people from CREMA-D speak.

    Raises:
        SerError: The file is missing.
    """
    path = Path(str(files("ser_daemon") / "data" / "demo.flac"))
    if not path.is_file():
        raise SerError(f"The bundled recording {path} is missing; install ser-daemon again.")
    return path


def choose_source(audio: AudioConfig) -> tuple[AudioConfig, str | None]:
    """Choose the microphone or the bundled recording.

    The microphone is opened to find out: a sound system may list devices that do not work.

    Returns:
        The settings to use, and a notice if the recording is used, else `None`.
    """
    source = make_source(audio)
    try:
        run_with_timeout(source.open, RESPONSE_SECONDS, NoResponse())
    except DeviceError as error:
        path = bundled_recording()
        recorded = replace(audio, device=str(AudioFile(str(path))), channel=None, pace="realtime")
        reason = str(error).rstrip(".")
        return recorded, f"No microphone can be used ({reason}): playing recordings of two people from CREMA-D instead."
    source.close()
    return audio, None
