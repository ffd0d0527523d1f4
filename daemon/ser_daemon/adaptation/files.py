"""The files that adaptation starts from: learned statistics, and speakers' profiles."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ser_daemon.paths import config_files
from ser_model.adaptation.adaptation import Statistics, model_version
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.atomic_file import replace_file
from ser_model.errors import AdaptationError, SerError
from ser_model.network.metadata import ModelMetadata
from ser_model.small_file import UnreadableFileError, read_small_file

MAX_BYTES = 65_536
"""Longest file of statistics that is read: thirty times the usual size."""

MAX_PROFILE_BYTES = 1 << 20
"""Longest profile that is read: more than a thousand taught examples."""

_NAME = re.compile(r"[\w-][\w. -]{0,63}")


@dataclass(frozen=True, slots=True)
class SpeakerProfile:
    """What a speaker's profile holds: numbers, no audio."""

    statistics: Statistics
    """Statistics of the speaker's speech, with the profile's digest."""
    taught: tuple[TaughtExample, ...]
    """The speaker's own examples, the newest last; may be empty."""
    path: Path


def read_statistics(path: Path, metadata: ModelMetadata) -> Statistics:
    """Read a file of statistics.

    Raises:
        FileNotFoundError: there is none.
        AdaptationError: it can't be read, or not used with this model; one sentence with its path.
    """
    data = read_json(path, MAX_BYTES)
    try:
        return Statistics.from_data(data, metadata)
    except AdaptationError as error:
        raise AdaptationError(f"{path}: {error}") from None


def read_profile(path: Path, metadata: ModelMetadata) -> SpeakerProfile:
    """Read a speaker's profile; its statistics carry no digest yet.

    Raises:
        FileNotFoundError: there is none.
        AdaptationError: it can't be read, or not used with this model; one sentence with its path.
    """
    data = read_json(path, MAX_PROFILE_BYTES)
    again = ""
    if isinstance(data, Mapping) and data.get("taught") and data.get("model") != model_version(metadata):
        again = "; the voice has to be taught again, as no recordings are kept"
    try:
        statistics = Statistics.from_data(data, metadata)
        taught = read_examples(data.get("taught", []) if isinstance(data, Mapping) else [], metadata)
    except AdaptationError as error:
        raise AdaptationError(f"{path}: {error}{again}") from None
    return SpeakerProfile(statistics, taught, path)


def read_examples(data: object, metadata: ModelMetadata) -> tuple[TaughtExample, ...]:
    """Read a list of examples.

    Raises:
        AdaptationError: it is no list, or one of the examples is damaged.
    """
    if not isinstance(data, list):
        raise AdaptationError(f"is damaged: taught: expected a list of examples, found {type(data).__name__}")
    return tuple(TaughtExample.from_data(one, metadata.hidden) for one in data)


def read_json(path: Path, most_bytes: int) -> object:
    """Read a small JSON file.

    Raises:
        FileNotFoundError: there is none.
        AdaptationError: it can't be read, or holds no JSON; one sentence with its path.
    """
    try:
        os.lstat(path)
        data: object = json.loads(read_small_file(path, most_bytes))
    except (FileNotFoundError, NotADirectoryError):
        # A path that can't exist has not been written either; writing it reports the error.
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise AdaptationError(f"{path}: can't be read ({error.strerror})") from None
    except UnreadableFileError as error:
        raise AdaptationError(f"{path}: can't be read ({error})") from None
    except (ValueError, RecursionError):
        raise AdaptationError(f"{path}: is damaged, it holds no JSON") from None
    return data


def write_data(path: Path, data: Mapping[str, object], mode: int = 0o600) -> None:
    """Write data as JSON in one step: a reader finds the old file or the new one.

    Raises:
        OSError: there is no place or no permission for it; the old file is as it was.
    """
    replace_file(path, json.dumps(data) + "\n", mode)


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


def find_speaker(name: str, metadata: ModelMetadata, folders: Sequence[Path]) -> SpeakerProfile:
    """Read a speaker's profile from the first folder that has one. Its statistics carry the profile's digest.

    Raises:
        SerError: there is none, or it can't be used.
    """
    file = speaker_file(name)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            profile = read_profile(folder / file, metadata)
            digest = _digest(name, profile.statistics, metadata)
            return replace(profile, statistics=replace(profile.statistics, profile=digest))
    places = " or ".join(map(str, folders))
    raise SerError(
        f"there is no {file} in {places}; make it with: ser-calibrate teach {name!r}, or ser-calibrate speaker {name!r}"
    )


def _digest(name: str, statistics: Statistics, metadata: ModelMetadata) -> str:
    """Return a digest that differs between speakers, and between two profiles of one speaker."""
    numbers = json.dumps([name, statistics.to_data(model_version(metadata))])
    return hashlib.sha256(numbers.encode()).hexdigest()[:12]
