"""`ser-calibrate`: measure a microphone and write its profile; measure the way from microphone to answer."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from ser_daemon.config import load_config
from ser_daemon.paths import SYSTEM_CONFIG
from ser_daemon.profiles import MicrophoneProfile, file_name, profile_folders, write_profile
from ser_model import console
from ser_model.errors import SerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 could not be done, 130 interrupted."""
    return console.run(
        "ser-calibrate", lambda: _run(_parser().parse_args(arguments)), "interrupted, nothing was written"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ser-calibrate", description="Measure what ser-daemon hears.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mic = commands.add_parser(
        "mic",
        help="measure the noise floor and the speech level of a microphone",
        description="Listens to ten seconds of silence and to a sentence, says whether the microphone is "
        "good enough, and writes a profile that ser-daemon uses from its next start. No audio is kept.",
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
    place = mic.add_mutually_exclusive_group()
    place.add_argument("--output", type=Path, metavar="FILE", help="where to write the profile")
    place.add_argument(
        "--system", action="store_true", help=f"write it for the system service, below {SYSTEM_CONFIG.parent}"
    )
    path = commands.add_parser(
        "path",
        help="measure what the way through sound server and daemon costs in accuracy",
        description="Plays recordings in real time to daemons on virtual microphones (a PulseAudio of its own), and "
        "compares their answers with those of the same networks on the files. Writes RUN/path.json too.",
    )
    path.add_argument("run", type=Path, metavar="RUN", help="the --output of ser-model train")
    path.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    path.add_argument("--recordings", type=_count, default=120, metavar="N", help="how many to play (default: 120)")
    return parser


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"expected an integer from 1, got {text!r}")


def _run(options: argparse.Namespace) -> int:
    return _path(options) if options.command == "path" else _mic(options)


def _path(options: argparse.Namespace) -> int:
    for module in ("torch", "scipy", "onnx"):
        if find_spec(module) is None:
            raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")
    with console.uninterrupted():
        from ser_calibration.path import measure_path

    measure_path(options.run, options.data, options.recordings)
    return 0


def _mic(options: argparse.Namespace) -> int:
    overrides = {"audio.device": options.device, "audio.channel": options.channel}
    config = load_config(environ=os.environ, overrides=overrides)
    device = config.audio.device

    # Loaded late: NumPy and ONNX Runtime take a moment that --help need not wait for.
    from ser_calibration.live import record
    from ser_calibration.microphone import measure
    from ser_calibration.verdict import summary
    from ser_model.audio_file import read_audio

    if options.recordings:
        silence, speech = (read_audio(path, config.audio.channel) for path in options.recordings)
    else:
        device, silence, speech = record(config.audio, _tell)
    measured = measure(silence, speech)
    profile = MicrophoneProfile(
        device=device,
        measured=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        noise_floor_dbfs=measured.noise_floor_dbfs,
        gain_db=measured.gain_db,
        speech_level_dbfs=measured.speech_level_dbfs,
        snr_db=measured.snr_db,
    )
    print(summary(measured))
    user, system = profile_folders(os.environ)
    path = options.output or (system if options.system else user) / file_name(device)
    write_profile(profile, path)
    print(f"\nProfile of {device!r} written to {path}; ser-daemon uses it from its next start.")
    return 0


def _tell(line: str, replaceable: bool) -> None:
    """Show progress: lines that replace each other in a terminal, and only the lasting ones elsewhere."""
    terminal = sys.stderr.isatty()
    if not replaceable:
        print(("\r\x1b[K" if terminal else "") + line, file=sys.stderr, flush=True)
    elif terminal:
        print("\r\x1b[K" + line, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
