"""`ser-calibrate mic`: measure a microphone, write its profile and a page about it."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ser_calibration.microphone.terminal import probe, progress, tell
from ser_daemon.config.loading import load_config
from ser_daemon.config.profiles import MicrophoneProfile, profile_file_name, profile_folders, write_profile
from ser_daemon.paths import SYSTEM_CONFIG


def add_mic(commands: Any) -> None:
    """Add the subcommand to what `ArgumentParser.add_subparsers` gave."""
    mic = commands.add_parser(
        "mic",
        help="measure the noise floor and the speech level of a microphone",
        description="Listens to ten seconds of silence and to a few sentences, says whether the microphone is "
        "good enough, and writes a profile that ser-daemon uses from its next start, and a page with pictures "
        "beside it. No audio is kept.",
    )
    mic.add_argument(
        "--from",
        dest="recordings",
        nargs=2,
        type=Path,
        metavar=("SILENCE", "SPEECH"),
        help="measure these recordings (WAV or FLAC) instead of listening",
    )
    mic.add_argument("--device", metavar="NAME", help="the microphone, as in ser-daemon --mic")
    mic.add_argument("--channel", type=int, metavar="N", help="channel, from 1 (default: the mean of all)")
    mic.add_argument(
        "--unattended", action="store_true", help="wait for no key: ten seconds of silence, then 15 of speech, at once"
    )
    place = mic.add_mutually_exclusive_group()
    place.add_argument("--output", type=Path, metavar="FILE", help="the profile's file; the page goes beside it")
    place.add_argument(
        "--system", action="store_true", help=f"write it for the system service, below {SYSTEM_CONFIG.parent}"
    )


def run_mic(options: argparse.Namespace) -> int:
    """Measure and write.

    Raises:
        SerError: The microphone or the recordings can't be used, or the files can't be written.
    """
    overrides = {"audio.device": options.device, "audio.channel": options.channel}
    config = load_config(environ=os.environ, overrides=overrides)
    user, system = profile_folders(os.environ)
    folder = options.output.parent if options.output else system if options.system else user
    probe(options.output or folder / profile_file_name(config.audio.device))

    # Loaded late: NumPy and ONNX Runtime take a moment that --help need not wait for.
    from ser_calibration.microphone.assessment import summary
    from ser_calibration.microphone.measurement import measure
    from ser_calibration.microphone.page import microphone_page, write_page
    from ser_calibration.microphone.recording import record
    from ser_model.audio.files import read_audio

    device, timing = config.audio.device, None
    with progress():
        if options.recordings:
            silence, speech = (read_audio(path, config.audio.channel) for path in options.recordings)
        else:
            recorded = record(config.audio, tell, unattended=options.unattended)
            device, silence, speech, timing = recorded.device, recorded.silence, recorded.speech, recorded.timing
        measured = measure(silence, speech)
        profile = MicrophoneProfile(
            device=device,
            measured=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            noise_floor_dbfs=measured.noise_floor_dbfs,
            gain_db=measured.gain_db,
            speech_level_dbfs=measured.speech_level_dbfs,
            snr_db=measured.snr_db,
            noise_margin_db=measured.noise_margin_db,
        )
        page = microphone_page(profile, measured, silence, speech, timing)
    print(summary(measured, timing))
    path = options.output or folder / profile_file_name(device)
    write_profile(profile, path)
    print(f"\nProfile of {device!r} written to {path}; ser-daemon uses it from its next start.")
    write_page(page_path(path), page)
    print(f"Page with pictures: {page_path(path)}")
    return 0


def end(code: int) -> int:
    """Return the exit code; or end the process with it, where a sound library would keep it from ending."""
    if "ser_calibration.microphone.recording_session" in sys.modules:
        from ser_calibration.microphone.recording_session import left_behind

        if left_behind():
            os._exit(code)
    return code


def page_path(path: Path) -> Path:
    """Return where the page about a profile goes."""
    # Never the profile itself, whatever it is called.
    return path.with_suffix(".html") if path.suffix in (".yaml", ".yml") else path.with_name(path.name + ".html")
