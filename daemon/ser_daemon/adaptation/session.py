"""What was learnt about microphone and voice: where it is kept, and when it is written.

What is learnt lives in `adaptation.json` in the state directory, speakers' profiles in the folder `speakers/` beside
the config file of the user or of the machine. Both hold numbers only, as `ser_model.adaptation` makes them. What was
learnt from a profile on is used with this profile only: with another, or none, learning begins anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ser_daemon.adaptation.files import find_speaker, read_statistics, speaker_folders, write_data
from ser_daemon.config.device_spec import AudioFile
from ser_daemon.config.schema import Config
from ser_daemon.paths import state_directory
from ser_model.adaptation.adaptation import Adaptation, AdaptationError, Statistics
from ser_model.adaptation.speaker_offset import NONE
from ser_model.errors import SerError
from ser_model.network.metadata import ModelMetadata

log = logging.getLogger(__name__)

FILE_NAME = "adaptation.json"

SAVE_SECONDS = 300.0
"""Shortest time between two writes, but for the one at the end: memory cards wear out."""


class AdaptationMemory:
    """The file in the state directory.

    One that can't be read or written is no reason to stop listening: the daemon runs on, and says so once.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False

    def load(self, metadata: ModelMetadata, profile: Statistics | None = None) -> Statistics | None:
        """What was stored last; None where nothing was that fits the model and began with the profile."""
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
        """Remember; a failure is logged the first time."""
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
    """The adaptation in use and its memory; but for `name` and `seconds` it belongs to the inference thread."""

    def __init__(
        self,
        adaptation: Adaptation | None,
        memory: AdaptationMemory | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to keep.

        Args:
            adaptation: None: there is none.
            memory: where it is kept over a restart; None: it is not.
            now: a clock in seconds.
        """
        self.adaptation = adaptation
        self._memory = memory
        self._now = now
        self._last = now()
        self._stored = None if adaptation is None else adaptation.statistics

    @property
    def name(self) -> str:
        """What the next utterance will be judged by: `none`, `running` or `profile`."""
        return NONE if self.adaptation is None else self.adaptation.map.name

    @property
    def seconds(self) -> float:
        """Speech behind it, the profile's included."""
        statistics = None if self.adaptation is None else self.adaptation.statistics
        return 0.0 if statistics is None else statistics.seconds

    def utterance_ended(self) -> None:
        """Store what was learnt where the last time is long ago."""
        if self._now() - self._last >= SAVE_SECONDS:
            self.store()

    def store(self) -> None:
        """Store what was learnt, if anything was since the last time."""
        statistics = None if self.adaptation is None else self.adaptation.statistics
        if self._memory is None or self.adaptation is None or statistics is None or statistics is self._stored:
            return
        self._last, self._stored = self._now(), statistics
        self._memory.store(statistics, self.adaptation.model)

    def forget(self) -> None:
        """Begin anew, also on disk: with the profile where there is one.

        Raises:
            SerError: the file can't be removed.
        """
        if self.adaptation is not None:
            self.adaptation.forget()
            self._stored = self.adaptation.statistics
        if self._memory is not None:
            self._memory.forget()


def make_session(config: Config, metadata: ModelMetadata, environ: Mapping[str, str]) -> AdaptationSession:
    """What the configuration asks for: a speaker's profile, what was learnt, the one and then the other, or nothing.

    What can't be used never stops the daemon: it is logged, and counts as not there.
    """
    is_file = isinstance(config.audio.device_spec, AudioFile)
    memory = None if is_file else AdaptationMemory(config.service.state_directory or state_directory(environ))
    # A file is judged as it was the last time, and says nothing about the microphone.
    running = config.adaptation.running and not is_file
    try:
        if running or config.adaptation.speaker is not None:
            metadata.required_class_mean_logits()
    except SerError as error:
        log.warning("Adaptation is off: %s", error)
        return AdaptationSession(None, memory)
    profile = _profile(config.adaptation.speaker, metadata, environ)
    if profile is None and not running:
        return AdaptationSession(None, memory)
    learnt = memory.load(metadata, profile) if memory and running else None
    return AdaptationSession(Adaptation(metadata, learnt, profile=profile, fixed=not running), memory)


def _profile(speaker: str | None, metadata: ModelMetadata, environ: Mapping[str, str]) -> Statistics | None:
    if speaker is None:
        return None
    try:
        statistics, path = find_speaker(speaker, metadata, speaker_folders(environ))
    except SerError as error:
        log.warning("Speaker's profile ignored: %s", error)
        return None
    log.info("Speaker's profile used: %s", path)
    return statistics
