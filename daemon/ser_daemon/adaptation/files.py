"""The files that adaptation starts from: learned statistics, and speakers' profiles."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ser_daemon.paths import config_files
from ser_model.adaptation.adaptation import Statistics, model_version
from ser_model.atomic_file import replace_file
from ser_model.errors import AdaptationError, SerError
from ser_model.network.metadata import ModelMetadata
from ser_model.small_file import UnreadableFileError, read_small_file

MAX_BYTES = 65_536
"""Longest file that is read: thirty times the usual size."""

_NAME = re.compile(r"[\w-][\w. -]{0,63}")


def read_statistics(path: Path, metadata: ModelMetadata) -> Statistics:
    """Read a file of statistics.

    Raises:
        FileNotFoundError: there is none.
        AdaptationError: it can't be read, or not used with this model; one sentence with its path.
    """
    try:
        os.lstat(path)
        return Statistics.from_data(json.loads(read_small_file(path, MAX_BYTES)), metadata)
    except (FileNotFoundError, NotADirectoryError):
        # A path that can't exist has not been written either; writing it reports the error.
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise AdaptationError(f"{path}: can't be read ({error.strerror})") from None
    except UnreadableFileError as error:
        raise AdaptationError(f"{path}: can't be read ({error})") from None
    except AdaptationError as error:
        raise AdaptationError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise AdaptationError(f"{path}: is damaged, it holds no JSON") from None


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


def find_speaker(name: str, metadata: ModelMetadata, folders: Sequence[Path]) -> tuple[Statistics, Path]:
    """Read a speaker's profile from the first folder that has one. The result carries the profile's digest.

    Raises:
        SerError: there is none, or it can't be used.
    """
    file = speaker_file(name)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            statistics = read_statistics(folder / file, metadata)
            return replace(statistics, profile=_digest(name, statistics, metadata)), folder / file
    places = " or ".join(map(str, folders))
    raise SerError(f"there is no {file} in {places}; make it with: ser-calibrate speaker {name!r}")


def _digest(name: str, statistics: Statistics, metadata: ModelMetadata) -> str:
    """Return a digest that differs between speakers, and between two profiles of one speaker."""
    numbers = json.dumps([name, statistics.to_data(model_version(metadata))])
    return hashlib.sha256(numbers.encode()).hexdigest()[:12]
