"""Enrol a speaker: write a profile of a voice that the daemon's adaptation starts from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ser_calibration.microphone.terminal import progress_lines
from ser_calibration.speaker.profile import profile_place
from ser_calibration.speaker.recording import SpeechProgress, record
from ser_daemon.adaptation.files import read_profile
from ser_daemon.config.loading import Config, load_config
from ser_model import console
from ser_model.adaptation.adaptation import Adaptation, Statistics, model_version
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.audio.files import read_audio
from ser_model.c_stderr import silence_c_stderr
from ser_model.errors import AdaptationError, SerError
from ser_model.network.estimator import Model
from ser_model.network.metadata import ModelMetadata
from ser_model.recognizer import Recognizer
from ser_model.types import SAMPLE_RATE, EmotionResult, Samples

MIN_SECONDS = 30.0
"""Least voiced speech. A profile of less would describe the words rather than the voice."""

ENOUGH_SECONDS = 45.0
"""Voiced speech that completes a live recording."""


def enrol_speaker(
    name: str,
    *,
    device: str | None = None,
    channel: int | None = None,
    model: str | None = None,
    recordings: Sequence[Path] | None = None,
    output: Path | None = None,
    system: bool = False,
) -> None:
    """Learn a voice, write its profile, and print where it is.

    Args:
        name: of the profile.
        device: the microphone, as in `audio.device`; `None` uses the configured one.
        channel: from 1; `None` uses the configured one.
        model: path of the exported model; `None` uses the configured one.
        recordings: files to learn from; `None` records from the device.
        output: the profile's file; `None` chooses one in the user's or the system's folder.
        system: choose the system's folder.

    Raises:
        SerError: the name, the microphone or the recordings can't be used, or the profile can't be written.
    """
    overrides = {"audio.device": device, "audio.channel": channel, "model.path": model}
    config = load_config(environ=os.environ, overrides=overrides)
    place = profile_place(name, output, system=system)
    loaded = Model.load(config.model.path)
    taught = _taught_before(place.path, loaded.metadata)
    statistics, seconds = _learn(loaded, config, recordings)
    if statistics is None or seconds < MIN_SECONDS:
        raise SerError(
            f"Heard {seconds:.0f} s of speech, but {MIN_SECONDS:.0f} s are needed to know a voice: say more, or "
            "nearer to the microphone; nothing was written."
        )
    place.write(statistics, model_version(loaded.metadata), taught)
    kept = f", with the {len(taught)} examples that were taught before," if taught else ""
    console.say(f"Profile of {name!r} from {seconds:.0f} s of speech{kept} written to {place.path}.")
    place.say_how_to_use()


def _taught_before(path: Path, metadata: ModelMetadata) -> tuple[TaughtExample, ...]:
    """Return the examples of an older profile, which stay; a file that can't be used has none."""
    try:
        return read_profile(path, metadata).taught
    except FileNotFoundError:
        return ()
    except AdaptationError as error:
        console.report_error("ser-calibrate", f"The older profile is replaced: {error}")
        return ()


def _learn(model: Model, config: Config, paths: Sequence[Path] | None) -> tuple[Statistics | None, float]:
    """Learn from recordings, or from the microphone if `paths` is `None`; return as `learn`."""
    if paths:
        silence_c_stderr()
        return learn(model, config, ([read_audio(path, config.audio.channel)] for path in paths))
    with progress_lines() as report:
        return learn(model, config, [record(config.audio, report)], SpeechProgress(report, ENOUGH_SECONDS).push)


def learn(
    model: Model,
    config: Config,
    recordings: Iterable[Iterable[Samples]],
    is_complete: Callable[[Samples, int], bool] = lambda samples, voiced: False,
) -> tuple[Statistics | None, float]:
    """Collect the adaptation statistics that the daemon would collect from the same audio.

    Args:
        model: whose features and logits are averaged.
        config: settings of gate and decision.
        recordings: each in blocks of any size, int16 at 16 kHz; utterances never span two of them.
        is_complete: called with every block and the voiced samples so far; true ends the recording.

    Returns:
        the statistics, `None` without speech, and the seconds of voiced speech
    """
    adaptation = Adaptation(model.metadata)
    voiced = 0
    for recording in recordings:
        recognizer = Recognizer(model, config.gate, config.decision, adaptation)
        open_voiced = 0
        for samples in recording:
            for result in recognizer.push(samples):
                if isinstance(result, EmotionResult):
                    voiced, open_voiced = (voiced + result.voiced, 0) if result.final else (voiced, result.voiced)
            if is_complete(samples, voiced + open_voiced):
                break
        finals = (item for item in recognizer.finish() if isinstance(item, EmotionResult) and item.final)
        voiced += sum(final.voiced for final in finals)
    return adaptation.statistics, voiced / SAMPLE_RATE
