"""Teach a speaker's profile: collect examples, say what they are worth, and write them."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser_calibration.microphone.terminal import Report, progress_lines
from ser_calibration.speaker.profile import ProfilePlace, profile_place
from ser_calibration.speaker.recording import record
from ser_calibration.teaching.assessment import Worth, leave_out_in_turn
from ser_calibration.teaching.folder import find_recordings
from ser_calibration.teaching.guide import Guide, Spoken, introduction
from ser_calibration.teaching.keyboard import Keyboard
from ser_calibration.teaching.plausibility import check_examples, sounds_like_two_voices, without_copies
from ser_calibration.teaching.prompts import DEFAULT_LABELS, make_prompts, parse_labels
from ser_calibration.teaching.utterances import Utterance, UtteranceFinder, learn
from ser_daemon.adaptation.files import SpeakerProfile, read_profile
from ser_daemon.config.loading import Config, load_config
from ser_daemon.config.profiles import gate_with_profile, profile_folders
from ser_model import console
from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.taught_head import MOST_EXAMPLES, TaughtExample
from ser_model.audio.files import read_audio
from ser_model.c_stderr import silence_c_stderr
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.network.estimator import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingOptions:
    """What `ser-calibrate teach` was asked for."""

    name: str
    """Of the profile."""
    labels: str | None = None
    """Labels between commas; `None` asks the person, or takes the default or what the folder has."""
    rounds: int = 3
    """How often each label is said."""
    device: str | None = None
    """The microphone, as in `audio.device`; `None` uses the configured one."""
    channel: int | None = None
    """From 1; `None` uses the configured one."""
    model: str | None = None
    """Path of the exported model; `None` uses the configured one."""
    folder: Path | None = None
    """Recordings to learn from; `None` records from the microphone."""
    add: bool = False
    """Keep the examples of the profile that is there."""
    unattended: bool = False
    """Wait for no key, ask nothing, and write the profile whatever it is worth."""
    output: Path | None = None
    """The profile's file; `None` chooses one in the user's or the system's folder."""
    system: bool = False
    """Choose the system's folder."""


def teach_speaker(options: TeachingOptions) -> None:
    """Collect examples of a voice, print what they are worth, and write the profile.

    Raises:
        SerError: the options, the microphone, the recordings or the examples can't be used, or the profile can't be
            written.
    """
    guided = options.folder is None
    if guided and not options.unattended and not sys.stdin.isatty():
        raise SerError("Guiding needs a terminal: use --yes to take every utterance as it comes, or --from recordings.")
    labels = _choose_labels(options)
    config = _load_config(options.device, options.channel, options.model)
    place = profile_place(options.name, options.output, system=options.system)
    # Whatever is wrong with it is said before anybody speaks.
    recordings = None if options.folder is None else find_recordings(options.folder)
    model = Model.load(config.model.path)
    before = _read_before(place, model, required=options.add)
    adaptation = Adaptation(model.metadata, before.statistics if before and options.add else None)
    with progress_lines() as report:
        if recordings is None:
            _announce(before, options, report)
            spoken = _listen(model, config, labels or DEFAULT_LABELS, options, report)
        else:
            spoken = _read(model, config, [one for one in recordings if labels is None or one[1] in labels], report)
        examples, utterances = _examples(before.taught if before and options.add else (), spoken, report)
        worth = leave_out_in_turn(
            examples,
            model.metadata,
            lambda done, of: report(f"Judging the examples by each other: {done} of {of}", True),
        )
    learn(adaptation, utterances)
    console.say(worth.to_text())
    if adaptation.statistics is None or not _is_wanted(worth, options):
        console.say("Nothing was written.")
        return
    place.write(adaptation.statistics, adaptation.model, examples)
    console.say(f"Profile of {options.name!r} with {len(examples)} examples written to {place.path}.")
    place.say_how_to_use()


def forget_label(
    name: str, label: str, *, model: str | None = None, output: Path | None = None, system: bool = False
) -> None:
    """Remove a label's examples from a profile; its statistics stay.

    Raises:
        SerError: there is no profile, it can't be used or written, or it has no such example.
    """
    if label not in LABELS:
        raise SerError(f"The label {label!r:.40} is unknown; expected one of {', '.join(LABELS)}.")
    config = _load_config(None, None, model)
    place = profile_place(name, output, system=system)
    loaded = Model.load(config.model.path)
    profile = _read_before(place, loaded, required=True)
    assert profile is not None
    kept = [one for one in profile.taught if one.label != label]
    if len(kept) == len(profile.taught):
        found = ", ".join(sorted({one.label for one in kept})) or "none at all"
        raise SerError(f"{place.path}: has no example of {label}, but of: {found}.")
    place.write(profile.statistics, Adaptation(loaded.metadata).model, kept)
    left = Counter(one.label for one in kept)
    console.say(f"Forgotten: {len(profile.taught) - len(kept)} examples of {label}; {len(kept)} are left.")
    if len(left) < 2:
        console.say("With fewer than two labels they change no answer; add others with --add.")
    place.say_how_to_use()


def _load_config(device: str | None, channel: int | None, model: str | None) -> Config:
    overrides = {"audio.device": device, "audio.channel": channel, "model.path": model}
    return load_config(environ=os.environ, overrides=overrides)


def _choose_labels(options: TeachingOptions) -> tuple[str, ...] | None:
    """Return the labels; `None` where the default or the folder decides."""
    if options.labels is not None:
        return parse_labels(options.labels)
    if options.folder is not None or options.unattended:
        return None
    usual = ", ".join(DEFAULT_LABELS)
    console.say(f"Which tones shall be told apart? You can choose among\n{', '.join(LABELS)}.")
    while True:
        try:
            text = input(f"List (Enter: {usual}): ")
            return parse_labels(text) if text.strip() else None
        except EOFError:
            raise SerError("The terminal was closed; nothing was written.") from None
        except SerError as error:
            console.say(str(error))


def _read_before(place: ProfilePlace, model: Model, *, required: bool) -> SpeakerProfile | None:
    """Return the profile that is there; `None` if there is none, or none that can be used and none is required."""
    try:
        return read_profile(place.path, model.metadata)
    except FileNotFoundError:
        if required:
            raise SerError(
                f"{place.path}: there is no such profile yet; make it with: ser-calibrate teach {place.name!r}"
            ) from None
    except SerError as error:
        if required:
            raise SerError(f"{error}; nothing was written.") from None
    return None


def _announce(before: SpeakerProfile | None, options: TeachingOptions, report: Report) -> None:
    if before is not None:
        what = "is kept, and added to" if options.add else "is replaced at the end (--add keeps it)"
        report(f"There is a profile {options.name!r} with {len(before.taught)} examples; it {what}.", False)


def _listen(
    model: Model, config: Config, labels: Sequence[str], options: TeachingOptions, report: Report
) -> list[Spoken]:
    prompts = make_prompts(labels, options.rounds, random.Random())
    lines = introduction(labels, len(prompts), guided=not options.unattended)
    gate, _ = gate_with_profile(config, config.audio.device, profile_folders(os.environ))
    finder = UtteranceFinder(model, gate, config.decision)
    with contextlib.ExitStack() as stack:
        samples = stack.enter_context(contextlib.closing(record(config.audio, report, lines)))
        keyboard = None if options.unattended else stack.enter_context(Keyboard())
        return Guide(finder, samples, report, keyboard).run(prompts)


def _read(model: Model, config: Config, recordings: Sequence[tuple[Path, str]], report: Report) -> list[Spoken]:
    """Take the longest utterance of each recording."""
    silence_c_stderr()
    spoken: list[Spoken] = []
    silent: list[Path] = []
    for number, (path, label) in enumerate(recordings, start=1):
        report(f"Reading recordings: {number} of {len(recordings)}", True)
        finder = UtteranceFinder(model, config.gate, config.decision)
        found = finder.push(read_audio(path, config.audio.channel)) + finder.finish()
        utterances = [one for one in found if isinstance(one, Utterance) and one.is_speech]
        if utterances:
            spoken.append(Spoken(label, max(utterances, key=lambda one: one.result.voiced)))
        else:
            silent.append(path)
    if silent:
        report(f"No speech in {len(silent)} of {len(recordings)} recordings, for example in {silent[0]}.", False)
    return spoken


def _examples(
    before: Sequence[TaughtExample], spoken: Sequence[Spoken], report: Report
) -> tuple[list[TaughtExample], list[Utterance]]:
    """Return the examples for the profile, the newest last, and the utterances that are new among them.

    Says what is odd about them.

    Raises:
        SerError: they can teach nothing.
    """
    new = [(one.utterance.example(one.label), one.utterance) for one in spoken]
    given = [*before, *(example for example, _ in new)]
    examples = without_copies(given)
    if len(examples) < len(given):
        report(f"{len(given) - len(examples)} examples are copies of others, and are left out.", False)
    check_examples(examples)
    if sounds_like_two_voices(spoken):
        report("The pitch is as if two people had taken turns; a profile should be of one voice.", False)
    if not any(one.label == "neutral" for one in examples):
        report("There is no example of neutral: everyday speech stays as the network hears it.", False)
    if len(examples) > MOST_EXAMPLES:
        report(f"The oldest {len(examples) - MOST_EXAMPLES} examples go: a profile holds {MOST_EXAMPLES}.", False)
    kept = {id(one) for one in examples}
    return examples[-MOST_EXAMPLES:], [utterance for example, utterance in new if id(example) in kept]


def _is_wanted(worth: Worth, options: TeachingOptions) -> bool:
    """Whether to write the profile; a person decides where it is not worth using.

    Raises:
        SerError: nobody can be asked.
    """
    if worth.is_worthwhile or options.unattended:
        return True
    if not sys.stdin.isatty():
        raise SerError("Nothing was written, as the profile is not worth using; --yes writes it all the same.")
    try:
        return input("Write it all the same? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
