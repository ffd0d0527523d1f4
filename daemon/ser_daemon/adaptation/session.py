"""The adaptation to microphone and voice: which one is in use, where it is stored, and when.

The state directory holds the learned statistics in `adaptation.json`, and the corrections in `taught.json`. Speakers'
profiles are in the folder `speakers/` beside the config file of the user or of the machine. All hold numbers only
(`ser_model.adaptation`). Statistics that started from a profile are used with that profile only; with another one, or
none, learning starts again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ser_daemon.adaptation.corrections import CorrectionFile
from ser_daemon.adaptation.files import SpeakerProfile, find_speaker, read_statistics, speaker_folders, write_data
from ser_daemon.adaptation.teaching import CORRECTIONS_OFF, Lesson, Teaching
from ser_daemon.config.device_spec import AudioFile
from ser_daemon.config.schema import Config
from ser_daemon.paths import state_directory
from ser_model.adaptation.adaptation import Adaptation, Statistics
from ser_model.errors import AdaptationError, SerError
from ser_model.network.metadata import ModelMetadata
from ser_model.types import EmotionResult

log = logging.getLogger(__name__)

FILE_NAME = "adaptation.json"

SAVE_SECONDS = 300.0
"""Shortest time between two writes, except for the last one: memory cards wear out."""


class AdaptationMemory:
    """The file in the state directory.

    A file that can't be read or written does not stop the daemon; it logs that once.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False

    def load(self, metadata: ModelMetadata, profile: Statistics | None = None) -> Statistics | None:
        """Return the stored statistics; None where there are none for this model and this profile."""
        try:
            statistics = read_statistics(self._path, metadata)
        except FileNotFoundError:
            return None
        except AdaptationError as error:
            log.warning("Adaptation ignored: %s; it begins anew.", error)
            return None
        if statistics.profile != (profile.profile if profile else ""):
            log.info("What was learnt began with another speaker's profile, or none; it begins anew.")
            return None
        return statistics

    def store(self, statistics: Statistics, model: str) -> None:
        """Write the statistics; the first failure is logged."""
        try:
            write_data(self._path, statistics.to_data(model))
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "The adaptation could not be written to %s: %s; it will not survive a restart.",
                    self._path,
                    error.strerror,
                )

    def forget(self) -> None:
        """Remove the file.

        Raises:
            SerError: it can't be removed.
        """
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise SerError(
                f"Forgotten until the next start only: {self._path} can't be removed ({error.strerror}); "
                "remove it by hand."
            ) from None


class AdaptationSession:
    """The adaptation in use and its files. It belongs to the inference thread, except for its properties."""

    def __init__(
        self,
        adaptation: Adaptation | None,
        memory: AdaptationMemory | None,
        now: Callable[[], float] = time.monotonic,
        *,
        teaching: Teaching | None = None,
        learns: bool = True,
        has_profile: bool = False,
    ) -> None:
        """Start a session.

        Args:
            adaptation: None: there is none.
            memory: stores it over a restart; None: nothing does.
            now: a clock in seconds.
            teaching: the speaker's own examples, which `adaptation` was made with; None: there can be none.
            learns: whether `adaptation` learns from speech.
            has_profile: whether `adaptation` starts from a speaker's profile.
        """
        self.adaptation = adaptation
        self.teaching = teaching
        self.learns = learns and adaptation is not None
        self.has_profile = has_profile
        self._memory = memory
        self._now = now
        self._last = now()
        self._stored = None if adaptation is None else adaptation.statistics

    @property
    def name(self) -> str:
        """The adaptation of the next utterance: `none`, `running`, `profile` or `taught`."""
        return "none" if self.adaptation is None else self.adaptation.offset.name

    @property
    def seconds(self) -> float:
        """Seconds of speech that it was learned from, the profile's included."""
        statistics = None if self.adaptation is None else self.adaptation.statistics
        return 0.0 if statistics is None else statistics.seconds

    @property
    def taught(self) -> dict[str, int]:
        """Counts of examples: those that the head is fitted to, those of the profile, and corrections."""
        teaching = self.teaching
        return {
            "examples": 0 if self.adaptation is None else self.adaptation.offset.taught,
            "profile": 0 if teaching is None else teaching.profile_examples,
            "corrections": 0 if teaching is None else len(teaching.lesson.corrections),
        }

    def heard(self, utterance_id: str, result: EmotionResult) -> None:
        """Keep what was made of an utterance, from its final result, where corrections are taken."""
        if self.teaching is not None and not self.teaching.refusal:
            self.teaching.utterances.add(utterance_id, result)

    def teach(self, lesson: Lesson) -> None:
        """Use other corrections, and the head that follows from them, from the next utterance on."""
        if self.teaching is not None and self.adaptation is not None:
            self.teaching.lesson = lesson
            self.adaptation.teach(lesson.head)

    def utterance_ended(self) -> None:
        """Store what was learned, if the last time was more than `SAVE_SECONDS` ago."""
        if self._now() - self._last >= SAVE_SECONDS:
            self.store()

    def store(self) -> None:
        """Store what was learned since the last time, if anything was."""
        statistics = None if self.adaptation is None else self.adaptation.statistics
        if self._memory is None or self.adaptation is None or statistics is None or statistics is self._stored:
            return
        self._last, self._stored = self._now(), statistics
        self._memory.store(statistics, self.adaptation.model)

    def forget(self) -> None:
        """Start learning again, also on disk; from the profile where there is one. Corrections stay.

        Raises:
            SerError: the file can't be removed.
        """
        if self.adaptation is not None:
            self.adaptation.reset()
            self._stored = self.adaptation.statistics
        if self._memory is not None:
            self._memory.forget()


def make_session(
    config: Config, metadata: ModelMetadata, environ: Mapping[str, str], earlier: AdaptationSession | None = None
) -> AdaptationSession:
    """Make the session that the configuration asks for: a profile, learned statistics, corrections, or none of them.

    A file that can't be used never stops the daemon: it is logged and ignored.

    Args:
        config: the configuration.
        metadata: of the network.
        environ: names the user's folders.
        earlier: the session before a reload.
    """
    is_file = isinstance(config.audio.device_spec, AudioFile)
    directory = config.service.state_directory or state_directory(environ)
    memory = None if is_file else AdaptationMemory(directory)
    file = None if is_file else CorrectionFile(directory, metadata)
    # A file gets the same answers every time, and tells nothing about the microphone.
    running = config.adaptation.running and not is_file
    refusal = _why_no_corrections(config)
    profile = None
    try:
        if running or config.adaptation.speaker is not None or not refusal:
            metadata.required_class_mean_logits()
            profile = _profile(config.adaptation.speaker, metadata, environ)
    except SerError as error:
        log.warning("Adaptation is off: %s", error)
        running, refusal = False, f"Adaptation is off: {error}"
    teaching = Teaching(
        metadata,
        profile.taught if profile else (),
        file,
        refusal=refusal,
        earlier=earlier.teaching if earlier else None,
    )
    if profile is None and not running and refusal:
        return AdaptationSession(None, memory, teaching=teaching)
    statistics = profile.statistics if profile else None
    learned = memory.load(metadata, statistics) if memory and running else None
    adaptation = Adaptation(metadata, learned, profile=statistics, fixed=not running, head=teaching.lesson.head)
    return AdaptationSession(adaptation, memory, teaching=teaching, learns=running, has_profile=profile is not None)


def _why_no_corrections(config: Config) -> str:
    """Return a sentence that says why no corrections are taken; empty where they are."""
    if isinstance(config.audio.device_spec, AudioFile):
        return "Corrections are not taken from a recording: the same file gets the same answers every time."
    return "" if config.adaptation.corrections else CORRECTIONS_OFF


def _profile(speaker: str | None, metadata: ModelMetadata, environ: Mapping[str, str]) -> SpeakerProfile | None:
    if speaker is None:
        return None
    try:
        profile = find_speaker(speaker, metadata, speaker_folders(environ))
    except SerError as error:
        log.warning("Speaker's profile ignored: %s", error)
        return None
    log.info("Speaker's profile used: %s", profile.path)
    return profile
