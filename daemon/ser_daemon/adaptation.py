"""What was learnt about microphone and voice: where it is kept, and when it is written.

Running statistics live in `adaptation.json` in the state directory, speakers' profiles in the folder `speakers/` beside
the config file of the user or of the machine. Both hold numbers only, as `ser_model.adaptation` makes them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ser_daemon.config_schema import Config
from ser_daemon.paths import config_files, state_directory
from ser_model.adaptation import NONE, Adaptation, AdaptationError, Statistics
from ser_model.errors import SerError
from ser_model.metadata import ModelMetadata

log = logging.getLogger(__name__)

FILE_NAME = "adaptation.json"

SAVE_SECONDS = 300.0
"""Shortest time between two writes, but for the one at the end: memory cards wear out."""

MAX_BYTES = 65_536
"""Longest file that is read: thirty times what one needs."""

_NAME = re.compile(r"[\w-][\w. -]{0,63}")


def read_statistics(path: Path, metadata: ModelMetadata) -> Statistics:
    """Read a file of statistics.

    Raises:
        FileNotFoundError: there is none.
        AdaptationError: it can't be read, or not used with this model; one sentence with its path.
    """
    try:
        if path.exists() and not path.is_file():
            # Opening a pipe that nobody writes to would wait without end.
            raise AdaptationError("is no file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise AdaptationError(f"is longer than {MAX_BYTES} bytes")
        return Statistics.from_data(json.loads(content), metadata)
    except (FileNotFoundError, NotADirectoryError):
        # What can't be there has not been written either; that it can't be is said when it should be.
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise AdaptationError(f"{path}: can't be read ({error.strerror})") from None
    except AdaptationError as error:
        raise AdaptationError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise AdaptationError(f"{path}: is damaged, it holds no JSON") from None


def write_data(path: Path, data: Mapping[str, object], mode: int = 0o600) -> None:
    """Write plain data so that a reader finds the old file or the new one.

    Raises:
        OSError: there is no place or no permission for it; the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".adaptation-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(json.dumps(data) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


class AdaptationMemory:
    """The file in the state directory.

    One that can't be read or written is no reason to stop listening: the daemon runs on, and says so once.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False

    def load(self, metadata: ModelMetadata) -> Statistics | None:
        """What was stored last; None where nothing was that fits the model."""
        try:
            return read_statistics(self._path, metadata)
        except FileNotFoundError:
            return None
        except AdaptationError as error:
            log.warning("Adaptation ignored: %s; it begins anew.", error)
            return None

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


class Keeper:
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
        """Speech behind it."""
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
        """Begin anew, also on disk; a profile stays.

        Raises:
            SerError: the file can't be removed.
        """
        if self.adaptation is not None:
            self.adaptation.forget()
            self._stored = self.adaptation.statistics
        if self._memory is not None:
            self._memory.forget()


def make_keeper(config: Config, metadata: ModelMetadata, environ: Mapping[str, str]) -> Keeper:
    """What the configuration asks for: a speaker's profile, running statistics, or nothing.

    What can't be used never stops the daemon: it is logged, and running statistics take the place of a profile.
    """
    is_file = config.audio.device.startswith("file:")
    memory = None if is_file else AdaptationMemory(config.service.state_directory or state_directory(environ))
    # A file is judged as it was the last time, and says nothing about the microphone.
    running = config.adaptation.running and not is_file
    try:
        if running or config.adaptation.speaker is not None:
            metadata.required_typical()
    except SerError as error:
        log.warning("Adaptation is off: %s", error)
        return Keeper(None, memory)
    if config.adaptation.speaker is not None:
        try:
            statistics, path = find_speaker(config.adaptation.speaker, metadata, speaker_folders(environ))
        except SerError as error:
            log.warning("Speaker's profile ignored: %s", error)
        else:
            log.info("Speaker's profile used: %s", path)
            return Keeper(Adaptation(metadata, statistics, fixed=True), memory)
    return Keeper(Adaptation(metadata, memory.load(metadata)) if memory and running else None, memory)


def speaker_folders(environ: Mapping[str, str]) -> list[Path]:
    """Folders that speakers' profiles are read from, the user's before the machine's."""
    return [file.parent / "speakers" for file in config_files(environ)]


def speaker_file(name: str) -> str:
    """Name of the file of a speaker's profile.

    Raises:
        SerError: the name is no good for a file.
    """
    if not _NAME.fullmatch(name):
        raise SerError(
            f"{name[:70]!r} can't name a speaker: expected up to 64 letters, digits, spaces, dots, hyphens and "
            "underscores"
        )
    return f"{name}.json"


def find_speaker(name: str, metadata: ModelMetadata, folders: Sequence[Path]) -> tuple[Statistics, Path]:
    """Read a speaker's profile from the first folder that has one.

    Raises:
        SerError: there is none, or it can't be used.
    """
    file = speaker_file(name)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            return read_statistics(folder / file, metadata), folder / file
    places = " or ".join(map(str, folders))
    raise SerError(f"there is no {file} in {places}; make it with: ser-calibrate speaker {name!r}")
