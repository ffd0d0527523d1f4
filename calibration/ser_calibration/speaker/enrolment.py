"""`ser-calibrate speaker`: learn at once, from ordinary speech, what the daemon would learn about a voice over days."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_calibration.microphone.terminal import probe, progress, tell
from ser_daemon.adaptation.files import speaker_file, speaker_folders, write_data
from ser_daemon.config.loading import Config, load_config
from ser_daemon.paths import SYSTEM_CONFIG
from ser_model.errors import SerError

if TYPE_CHECKING:
    from ser_model.network.estimator import Model
    from ser_model.types import Samples

LEAST_SECONDS = 30.0
"""Voiced speech below which a profile would say more about the words than about the voice."""

ENOUGH_SECONDS = 45.0
"""Voiced speech after which a live recording ends."""


def add_speaker(commands: Any) -> None:
    """Add the subcommand to what `ArgumentParser.add_subparsers` gave."""
    speaker = commands.add_parser(
        "speaker",
        help="learn a voice from a minute of ordinary speech",
        description="Listens until 45 s of ordinary speech were heard, and writes a profile of the voice at this "
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
    probe(path)

    # Loaded late: ONNX Runtime takes a moment that --help need not wait for.
    from ser_model.network.estimator import Model

    data, seconds = _hear(Model.load(config.model.path), config, options.recordings)
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
    if path.absolute() in (user / file, system / file):
        print(f"ser-daemon uses it with the setting adaptation.speaker: {options.name} (then: ser-ctl reload).")
    else:
        print(f"ser-daemon looks for it as {user / file}, with the setting adaptation.speaker: {options.name}.")
    return 0


def _hear(model: Model, config: Config, recordings: list[Path] | None) -> tuple[dict[str, Any], float]:
    """Learn from recordings; None: from the microphone."""
    if recordings:
        from ser_model.audio.files import read_audio

        # One after the other, and none heard as going on into the next.
        return learn(model, config, [[read_audio(recording, config.audio.channel)] for recording in recordings])
    from ser_calibration.speaker.recording import Progress, listen

    with progress():
        return learn(model, config, [listen(config.audio, tell)], Progress(tell, ENOUGH_SECONDS).push)


def learn(
    model: Model,
    config: Config,
    recordings: Iterable[Iterable[Samples]],
    enough: Callable[[Samples, int], bool] = lambda samples, voiced: False,
) -> tuple[dict[str, Any], float]:
    """Hear recordings as the daemon would.

    Args:
        model: which network's features are adapted.
        config: gate and decision.
        recordings: each in pieces of any size, int16 at 16 kHz.
        enough: is given every piece, and how many samples were voiced so far; tells whether to leave the recording.

    Returns:
        the statistics as plain data, and how many seconds of voiced speech they are from
    """
    from ser_model.adaptation.adaptation import Adaptation
    from ser_model.recognizer import Recognizer
    from ser_model.types import SAMPLE_RATE, EmotionResult

    adaptation = Adaptation(model.metadata)
    voiced = 0
    for recording in recordings:
        recognizer = Recognizer(model, config.gate, config.decision, adaptation)
        unfinished = 0
        for samples in recording:
            for one in recognizer.push(samples):
                if isinstance(one, EmotionResult):
                    voiced, unfinished = (voiced + one.voiced, 0) if one.final else (voiced, one.voiced)
            if enough(samples, voiced + unfinished):
                break
        voiced += sum(one.voiced for one in recognizer.finish() if isinstance(one, EmotionResult) and one.final)
    statistics = adaptation.statistics
    return ({} if statistics is None else statistics.to_data(adaptation.model)), voiced / SAMPLE_RATE
