"""`ser-daemon --demo`: something to see on every machine, with or without a microphone."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import AudioFile
from ser_daemon.pipeline.threads import run_with_timeout
from ser_daemon.sources import ANSWER_SECONDS, DeviceError, NoAnswer, make_source
from ser_model.errors import SerError


def recording() -> Path:
    """The bundled recording: synthetic voices, made for this purpose.

    Raises:
        SerError: it is not where the package should have it.
    """
    path = Path(str(files("ser_daemon") / "data" / "demo.flac"))
    if not path.is_file():
        raise SerError(f"The bundled recording {path} is missing; install ser-daemon again.")
    return path


def choose(audio: AudioConfig) -> tuple[AudioConfig, str | None]:
    """What a demonstration listens to.

    Opens the microphone to find out: a sound system lists devices that turn out not to work.

    Returns:
        the settings to use, and, where there is no microphone, a sentence that says so
    """
    source = make_source(audio)
    try:
        run_with_timeout(source.open, ANSWER_SECONDS, NoAnswer())
    except DeviceError as error:
        path = recording()
        instead = replace(audio, device=str(AudioFile(str(path))), channel=None, pace="realtime")
        return instead, f"No microphone can be used ({str(error).rstrip('.')}): playing a recording instead."
    source.close()
    return audio, None
