"""`ser-calibrate mic`: measure a microphone."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_calibration.cli.options import add_microphone, add_output
from ser_model.cli.options import Commands
from ser_model.console import uninterrupted


def add_command(commands: Commands) -> None:
    """Add `mic` to the commands of `ser-calibrate`."""
    parser = commands.add_parser(
        "mic",
        help="measure the noise floor and the speech level of a microphone",
        examples=(
            ("ser-calibrate mic", "the microphone that ser-daemon uses"),
            ('ser-calibrate mic --mic "USB"', "the microphone with USB in its name"),
            ("ser-calibrate mic --from room.wav talk.wav", "from recordings of silence and of speech"),
        ),
        description="Listens to ten seconds of silence and to a few sentences, says whether the microphone is "
        "good enough, and writes a profile that ser-daemon uses from its next start, and a page with pictures "
        "beside it. No audio is kept.",
    )
    parser.add_argument(
        "--from",
        dest="recordings",
        nargs=2,
        type=Path,
        metavar=("SILENCE", "SPEECH"),
        help="measure these recordings (WAV or FLAC) instead of listening",
    )
    add_microphone(parser)
    parser.add_argument(
        "--unattended", action="store_true", help="wait for no key: ten seconds of silence, then 15 of speech, at once"
    )
    add_output(parser, "the profile's file; the page goes beside it")
    parser.set_defaults(run=_mic)


def _mic(options: argparse.Namespace) -> None:
    # Imported late: NumPy and ONNX Runtime would slow down --help.
    with uninterrupted():
        from ser_calibration.microphone.calibration import calibrate_microphone

    calibrate_microphone(
        device=options.device,
        channel=options.channel,
        recordings=options.recordings,
        unattended=options.unattended,
        output=options.output,
        system=options.system,
    )
