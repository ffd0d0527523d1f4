"""`ser-calibrate speaker`: enrol a speaker."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_calibration.cli.options import add_microphone, add_output
from ser_model.cli.options import Commands
from ser_model.console import uninterrupted


def add_command(commands: Commands) -> None:
    """Add `speaker` to the commands of `ser-calibrate`."""
    parser = commands.add_parser(
        "speaker",
        help="learn a voice from a minute of ordinary speech",
        examples=(
            ("ser-calibrate speaker anna", "speak for a minute; then set adaptation.speaker: anna"),
            ("ser-calibrate speaker anna --from talk.wav", "from a recording"),
        ),
        description="Listens until 45 s of ordinary speech were heard, and writes a profile of the voice at this "
        "microphone, which ser-daemon uses with the setting adaptation.speaker. No audio is kept.",
    )
    parser.add_argument("name", metavar="NAME", help="what the profile shall be called")
    parser.add_argument(
        "--from",
        dest="recordings",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="learn from these recordings (WAV or FLAC) instead of listening",
    )
    add_microphone(parser)
    parser.add_argument("--model", metavar="PATH", help="the exported model that the daemon uses")
    add_output(parser, "where to write the profile")
    parser.set_defaults(run=_speaker)


def _speaker(options: argparse.Namespace) -> None:
    # Imported late: NumPy and ONNX Runtime would slow down --help.
    with uninterrupted():
        from ser_calibration.speaker.enrolment import enrol_speaker

    enrol_speaker(
        options.name,
        device=options.device,
        channel=options.channel,
        model=options.model,
        recordings=options.recordings,
        output=options.output,
        system=options.system,
    )
