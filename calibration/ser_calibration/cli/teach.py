"""`ser-calibrate teach`: teach a profile with a speaker's own examples."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from ser_calibration.cli.options import add_microphone, add_output
from ser_model.cli.options import Commands
from ser_model.console import uninterrupted
from ser_model.errors import SerError

_ROUNDS = (2, 20)


def add_command(commands: Commands) -> None:
    """Add `teach` to the commands of `ser-calibrate`."""
    parser = commands.add_parser(
        "teach",
        help="teach a voice with a dozen sentences of one's own",
        examples=(
            ("ser-calibrate teach anna --labels happy,angry", "then set adaptation.speaker: anna"),
            ("ser-calibrate teach anna --labels sad --add", "another label, later"),
        ),
        description="Shows sentences and the tone to say them in, listens for two to four minutes, says for how many "
        "of them the answer gets right, and writes a profile of the voice that ser-daemon uses with the setting "
        "adaptation.speaker. Numbers are kept, no audio; another model has to be taught again.",
    )
    parser.add_argument("name", metavar="NAME", help="what the profile shall be called")
    parser.add_argument(
        "--labels", metavar="LIST", help="labels between commas; neutral is always among them (default: you are asked)"
    )
    parser.add_argument(
        "--rounds", type=_rounds, default=3, metavar="N", help="how often each label is said (default: 3)"
    )
    parser.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="FOLDER",
        help="learn from recordings instead of listening: index.csv with path and emotion, or one folder a label",
    )
    parser.add_argument("--add", action="store_true", help="keep the examples that the profile has, and add to them")
    parser.add_argument("--forget", metavar="LABEL", help="remove a label's examples, and do nothing else")
    parser.add_argument(
        "--yes",
        dest="unattended",
        action="store_true",
        help="for scripts: wait for no key, take every utterance as it comes, and write the profile in any case",
    )
    add_microphone(parser)
    parser.add_argument("--model", metavar="PATH", help="the exported model that the daemon uses")
    add_output(parser, "where to write the profile")
    parser.set_defaults(run=_teach)


def _rounds(text: str) -> int:
    least, most = _ROUNDS
    with contextlib.suppress(ValueError):
        if least <= (number := int(text)) <= most:
            return number
    # With one example of each label, none could be left out to see what the others are worth.
    raise argparse.ArgumentTypeError(f"expected an integer from {least} to {most}, got {text!r}")


def _teach(options: argparse.Namespace) -> None:
    # Imported late: NumPy and ONNX Runtime would slow down --help.
    with uninterrupted():
        from ser_calibration.teaching.teach import TeachingOptions, forget_label, teach_speaker

    if options.forget is not None:
        if options.folder is not None or options.add or options.labels is not None:
            raise SerError("--forget goes alone: it records nothing, so --from, --add and --labels don't fit.")
        forget_label(options.name, options.forget, model=options.model, output=options.output, system=options.system)
        return
    asked = {name: value for name, value in vars(options).items() if name in TeachingOptions.__slots__}
    teach_speaker(TeachingOptions(**asked))
