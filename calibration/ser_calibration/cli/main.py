"""`ser-calibrate`: measure a microphone, learn a voice; measure the way from microphone to answer, and adaptation."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ser_calibration.cli.evaluation import ACTIONS, add_model_parsers, run_model
from ser_calibration.microphone.calibration import add_mic, end, run_mic
from ser_calibration.speaker.enrolment import add_speaker, run_speaker
from ser_model import console
from ser_model.errors import SerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 could not be done, 130 interrupted."""
    code = console.run(
        "ser-calibrate", lambda: _run(_parser().parse_args(arguments)), "interrupted, nothing was written"
    )
    return end(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ser-calibrate", description="Measure what ser-daemon hears.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_mic(commands)
    add_speaker(commands)
    path = commands.add_parser(
        "path",
        help="measure what the way through sound server and daemon costs in accuracy",
        description="Plays recordings in real time to daemons on virtual microphones (a PulseAudio of its own), and "
        "compares their answers with those of the same networks on the files. Writes RUN/path.json too.",
    )
    path.add_argument("run", type=Path, metavar="RUN", help="the --output of ser-model train")
    path.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    path.add_argument("--recordings", type=_count, default=120, metavar="N", help="how many to play (default: 120)")
    _add_adaptation(commands)
    add_model_parsers(commands, _count)
    return parser


def _add_adaptation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    adaptation = commands.add_parser(
        "adaptation",
        help="fit what adapting to a speaker needs, and measure what it is worth",
        description="Fits on validation actors which logits are typical of each answer, lets speakers whom a run's "
        "networks have not heard speak 60 utterances in random orders, and compares the last 40 with and without "
        "adaptation, and with a profile of the first 20. Writes RUN/adaptation.json, which `ser-model export` reads; "
        "without it a model can't be adapted.",
    )
    adaptation.add_argument("run", type=Path, metavar="RUN", help="the --output of ser-model train")
    adaptation.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    adaptation.add_argument("--seeds", type=_count, metavar="N", help="only the first N seeds (default: all)")
    adaptation.add_argument(
        "--orders", type=_count, default=10, metavar="N", help="of every actor and scenario (default: 10)"
    )
    adaptation.add_argument(
        "--validation", action="store_true", help="compare settings on the validation actors by the validation networks"
    )


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"expected an integer from 1, got {text!r}")


def _run(options: argparse.Namespace) -> int:
    if options.command in ACTIONS:
        return run_model(options)
    action = {"mic": run_mic, "speaker": run_speaker, "path": _path, "adaptation": _adaptation}[options.command]
    return action(options)


def _need_training() -> None:
    for module in ("torch", "scipy", "onnx"):
        if find_spec(module) is None:
            raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")


def _adaptation(options: argparse.Namespace) -> int:
    _need_training()
    with console.uninterrupted():
        from ser_calibration.evaluation.adaptation import measure_adaptation

    measure_adaptation(
        options.run, options.data, seeds=options.seeds, orders=options.orders, validation=options.validation
    )
    return 0


def _path(options: argparse.Namespace) -> int:
    _need_training()
    with console.uninterrupted():
        from ser_calibration.evaluation.path import measure_path

    measure_path(options.run, options.data, options.recordings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
