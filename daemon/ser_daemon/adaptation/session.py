"""The adaptation to microphone and voice: which one is in use, where it is stored, and when.

The state directory holds the learned statistics in `adaptation.json`. Speakers' profiles are in the folder `speakers/`
beside the config file of the user or of the machine. Both hold numbers only (`ser_model.adaptation`). Statistics that
started from a profile are used with that profile only; with another one, or none, learning starts again.
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
from ser_model.adaptation.adaptation import Adaptation, Statistics
from ser_model.errors import AdaptationError, SerError
from ser_model.network.metadata import ModelMetadata

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
    """The adaptation in use and its file. It belongs to the inference thread, except for `name` and `seconds`."""

    def __init__(
        self,
        adaptation: Adaptation | None,
        memory: AdaptationMemory | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start a session.

        Args:
            adaptation: None: there is none.
            memory: stores it over a restart; None: nothing does.
            now: a clock in seconds.
        """
        self.adaptation = adaptation
        self._memory = memory
        self._now = now
        self._last = now()
        self._stored = None if adaptation is None else adaptation.statistics

    @property
    def name(self) -> str:
        """The adaptation of the next utterance: `none`, `running` or `profile`."""
        return "none" if self.adaptation is None else self.adaptation.offset.name

    @property
    def seconds(self) -> float:
        """Seconds of speech that it was learned from, the profile's included."""
        statistics = None if self.adaptation is None else self.adaptation.statistics
        return 0.0 if statistics is None else statistics.seconds

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
        """Start learning again, also on disk; from the profile where there is one.

        Raises:
            SerError: the file can't be removed.
        """
        if self.adaptation is not None:
            self.adaptation.reset()
            self._stored = self.adaptation.statistics
        if self._memory is not None:
            self._memory.forget()


def make_session(config: Config, metadata: ModelMetadata, environ: Mapping[str, str]) -> AdaptationSession:
    """Make the session that the configuration asks for: a profile, learned statistics, both, or neither.

    A file that can't be used never stops the daemon: it is logged and ignored.
    """
    is_file = isinstance(config.audio.device_spec, AudioFile)
    memory = None if is_file else AdaptationMemory(config.service.state_directory or state_directory(environ))
    # A file gets the same answers every time, and tells nothing about the microphone.
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
    learned = memory.load(metadata, profile) if memory and running else None
    return AdaptationSession(Adaptation(metadata, learned, profile=profile, fixed=not running), memory)


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
