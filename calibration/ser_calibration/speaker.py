"""`ser-calibrate speaker`: learn at once, from ordinary speech, what the daemon would learn about a voice over days."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_daemon.adaptation import speaker_file, speaker_folders, write_data
from ser_daemon.config import Config, load_config
from ser_daemon.paths import SYSTEM_CONFIG
from ser_model.errors import SerError

if TYPE_CHECKING:
    from ser_model.estimator import Model
    from ser_model.types import Samples

LEAST_SECONDS = 30.0
"""Voiced speech below which a profile would say more about the words than about the voice."""

ENOUGH_SECONDS = 45.0
"""Voiced speech after which a live recording ends."""

LONGEST_SECONDS = 240.0
"""Longest wait for it."""


def add_speaker(commands: Any) -> None:
    """Add the subcommand to what `ArgumentParser.add_subparsers` gave."""
    speaker = commands.add_parser(
        "speaker",
        help="learn a voice from a minute of ordinary speech",
        description="Listens to about a minute of ordinary speech and writes a profile of the voice at this "
        "microphone, which ser-daemon uses with the setting adaptation.speaker. No audio is kept.",
    )
    speaker.add_argument("name", metavar="NAME", help="what the profile shall be called")
    speaker.add_argument(
        "--from",
        dest="recordings",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="learn from these recordings (WAV or FLAC) instead of listening",
    )
    speaker.add_argument("--device", metavar="NAME", help="the microphone, as in ser-daemon --mic")
    speaker.add_argument("--channel", type=int, metavar="N", help="channel, from 1 (default: the mean of all)")
    speaker.add_argument("--model", metavar="PATH", help="the exported model that the daemon uses")
    place = speaker.add_mutually_exclusive_group()
    place.add_argument("--output", type=Path, metavar="FILE", help="where to write the profile")
    place.add_argument(
        "--system", action="store_true", help=f"write it for the system service, below {SYSTEM_CONFIG.parent}"
    )


def run_speaker(options: argparse.Namespace) -> int:
    """Learn and write.

    Raises:
        SerError: the name, the microphone or the recordings are no good, or the profile can't be written.
    """
    file = speaker_file(options.name)
    overrides = {"audio.device": options.device, "audio.channel": options.channel, "model.path": options.model}
    config = load_config(environ=os.environ, overrides=overrides)
    user, system = speaker_folders(os.environ)
    path = options.output or (system if options.system else user) / file

    # Loaded late: ONNX Runtime takes a moment that --help need not wait for.
    from ser_model.audio_file import read_audio
    from ser_model.estimator import Model

    model = Model.load(config.model.path)
    if options.recordings:
        # One after the other, and none heard as going on into the next.
        pieces = [[read_audio(recording, config.audio.channel)] for recording in options.recordings]
        data, seconds = learn(model, config, pieces)
    else:
        data, seconds = learn(model, config, [_listen(config)], live=True)
    if seconds < LEAST_SECONDS:
        raise SerError(
            f"Heard {seconds:.0f} s of speech, but {LEAST_SECONDS:.0f} s are needed to know a voice: say more, or "
            "nearer to the microphone; nothing was written."
        )
    data |= {"speaker": options.name, "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    try:
        # Readable for the system service, which runs as a user of its own.
        write_data(path, data, mode=0o644)
    except OSError as error:
        raise SerError(f"{path}: cannot write this profile: {error.strerror}; choose another with --output") from None
    print(f"Profile of {options.name!r} from {seconds:.0f} s of speech written to {path}.")
    print(f"ser-daemon uses it with the setting adaptation.speaker: {options.name} (then: ser-ctl reload).")
    return 0


def learn(
    model: Model, config: Config, recordings: list[list[Samples]] | list[Iterator[Samples]], *, live: bool = False
) -> tuple[dict[str, Any], float]:
    """Hear recordings as the daemon would.

    Args:
        model: which network's features are adapted.
        config: gate and decision, and whether `live` speech is enough.
        recordings: each in pieces of any size, int16 at 16 kHz.
        live: show progress, and stop when enough was said.

    Returns:
        the statistics as plain data, and how many seconds of voiced speech they are from
    """
    from ser_model.adaptation import Adaptation
    from ser_model.recognizer import Recognizer
    from ser_model.types import SAMPLE_RATE, Emotion

    adaptation = Adaptation(model.metadata)
    voiced = 0
    for recording in recordings:
        recognizer = Recognizer(model, config.gate, config.decision, adaptation)
        heard = 0
        for samples in recording:
            heard += len(samples)
            results = recognizer.push(samples)
            voiced += sum(one.voiced for one in results if isinstance(one, Emotion) and one.final)
            if live:
                _tell(f"{voiced / SAMPLE_RATE:4.0f} of {ENOUGH_SECONDS:.0f} s of speech")
                if voiced >= ENOUGH_SECONDS * SAMPLE_RATE or heard >= LONGEST_SECONDS * SAMPLE_RATE:
                    break
        voiced += sum(one.voiced for one in recognizer.finish() if isinstance(one, Emotion) and one.final)
    if live:
        _tell("")
    statistics = adaptation.statistics
    return ({} if statistics is None else statistics.to_data(adaptation.model)), voiced / SAMPLE_RATE


def _listen(config: Config) -> Iterator[Samples]:
    """What the microphone gives, piece by piece.

    Raises:
        SerError: it can't be opened, or is none, or gives nothing.
    """
    from ser_calibration.capture import Capture
    from ser_daemon.sources import make_source

    source = make_source(config.audio)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: learn from recordings with --from instead.")
    with Capture(source) as capture:
        print(
            f"Microphone: {source.name}\nTalk for about a minute as you usually do, in sentences with short pauses: "
            "tell what you did today, or read something aloud.",
            file=sys.stderr,
            flush=True,
        )
        while True:
            yield capture.read().samples


def _tell(line: str) -> None:
    """Show progress where somebody looks."""
    if sys.stderr.isatty():
        print("\r\x1b[K" + line, end="", file=sys.stderr, flush=True)
