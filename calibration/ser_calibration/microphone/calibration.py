"""Calibrate a microphone: measure it, write its profile, and a page about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ser_calibration.microphone.assessment import format_report
from ser_calibration.microphone.measurement import Measurement, measure
from ser_calibration.microphone.output import check_writable
from ser_calibration.microphone.page import microphone_page, write_page
from ser_calibration.microphone.recording import Recordings, record
from ser_calibration.microphone.terminal import progress_lines
from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.loading import load_config
from ser_daemon.config.profiles import MicrophoneProfile, profile_file_name, profile_folders, write_profile
from ser_model import console
from ser_model.audio.files import read_audio
from ser_model.c_stderr import silence_c_stderr


def calibrate_microphone(
    *,
    device: str | None = None,
    channel: int | None = None,
    recordings: Sequence[Path] | None = None,
    unattended: bool = False,
    output: Path | None = None,
    system: bool = False,
) -> None:
    """Measure a microphone, print the result, write the profile and the page.

    Args:
        device: the microphone, as in `audio.device`; `None` uses the configured one.
        channel: from 1; `None` uses the configured one.
        recordings: files of silence and of speech to measure; `None` records from the device.
        unattended: record for fixed lengths, without waiting for a key.
        output: the profile's file; `None` chooses one in the user's or the system's folder.
        system: choose the system's folder.

    Raises:
        SerError: the microphone or the recordings can't be used, or the files can't be written.
    """
    config = load_config(environ=os.environ, overrides={"audio.device": device, "audio.channel": channel})
    folder = profile_folders(os.environ)[1 if system else 0]
    check_writable(output or folder / profile_file_name(config.audio.device))
    with progress_lines() as report:
        if recordings:
            recorded = _read(recordings, config.audio)
        else:
            recorded = record(config.audio, report, unattended=unattended)
        measured = measure(recorded.silence, recorded.speech)
        profile = _profile(recorded.device, measured)
        page = microphone_page(profile, measured, recorded)
    console.say(format_report(measured, recorded.timing))
    path = output or folder / profile_file_name(recorded.device)
    write_profile(profile, path)
    console.say(f"\nProfile of {recorded.device!r} written to {path}; ser-daemon uses it from its next start.")
    write_page(page_path(path), page)
    console.say(f"Page with pictures: {page_path(path)}")


def _read(paths: Sequence[Path], config: AudioConfig) -> Recordings:
    silence_c_stderr()
    silence, speech = (read_audio(path, config.channel) for path in paths)
    return Recordings(config.device, silence, speech, None)


def _profile(device: str, measured: Measurement) -> MicrophoneProfile:
    return MicrophoneProfile(
        device=device,
        measured=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        noise_floor_dbfs=measured.noise_floor_dbfs,
        gain_db=measured.gain_db,
        speech_level_dbfs=measured.speech_level_dbfs,
        snr_db=measured.snr_db,
        noise_margin_db=measured.noise_margin_db,
    )


def page_path(path: Path) -> Path:
    """Return where the page about a profile is written."""
    # Never the profile itself, whatever it is called.
    return path.with_suffix(".html") if path.suffix in (".yaml", ".yml") else path.with_name(path.name + ".html")
