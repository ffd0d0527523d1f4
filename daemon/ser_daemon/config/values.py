"""Parse and check single values of the configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from ser_daemon.config.device_spec import meant_file
from ser_daemon.config.keys import Key, Scalar
from ser_daemon.config.schema import KEYS, SECTIONS
from ser_model.durations import UNITS, in_unit, misses_unit
from ser_model.errors import SerError


class ConfigError(SerError):
    """A setting is not accepted. The text gives the location, the key, the expected and the actual value."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A checked value and its source."""

    value: Scalar
    source: str
    """`FILE:LINE`, `environment NAME` or `command line`."""


_DURATIONS: Final[dict[str, Literal["ms", "s"]]] = {"milliseconds": "ms", "seconds": "s"}
"""Units of keys that also take a number with a unit of its own."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


def bad_value(source: str, key: Key, actual: str) -> ConfigError:
    """Return the error for a value that the key does not accept; `actual` is the value as quoted."""
    return ConfigError(f"{source}: {key.name}: expected {key.expectation}, got {actual}")


OPEN_MODEL: Final = Path("open")
"""The word for the model in the package that may be used for any purpose (`ser_model.network.estimator.SHIPPED`)."""


def setting_from_text(key: Key, text: str, source: str, folder: Path | None = None) -> Setting:
    """Parse the text of a value.

    Args:
        key: The key.
        text: The value, as in the environment or as a plain scalar in a file.
        source: Location of the text, for messages.
        folder: Base of relative paths. `None` is the working directory.

    Raises:
        ConfigError: The key does not accept the text.
    """
    word = text.strip()
    if key.kind in (int, float) and key.unit in _DURATIONS:
        word = in_unit(word, _DURATIONS[key.unit])
    value: Scalar
    if key.optional and word.lower() in ("null", "~", ""):
        return Setting(None, source)
    if key.kind is bool:
        if word.lower() not in ("true", "false"):
            raise bad_value(source, key, quote(text))
        return Setting(word.lower() == "true", source)
    if key.kind is int:
        if not _INTEGER.fullmatch(word):
            raise _bad_number(source, key, text)
        value = int(word) if len(word) <= 20 else math.inf
    elif key.kind is float:
        if not _NUMBER.fullmatch(word):
            raise _bad_number(source, key, text)
        value = float(word)
    elif key.kind is Path:
        value = _path(key, word, source, folder)
    else:
        value = word
    return setting_from_value(key, value, source, written=text)


def _bad_number(source: str, key: Key, text: str) -> ConfigError:
    error = bad_value(source, key, quote(text))
    hint = key.unit in _DURATIONS and misses_unit(text)
    return ConfigError(f"{error}; a unit may be {UNITS}") if hint else error


def setting_from_value(key: Key, value: object, source: str, *, written: object = None) -> Setting:
    """Check a typed value.

    Args:
        key: The key.
        value: The value; an integer is accepted for a float, and text for a path.
        source: Location of the value, for messages.
        written: The value as it was written, for messages.

    Raises:
        ConfigError: The type is wrong, or the value is outside the key's range or choices.
    """
    actual = quote(value if written is None else written)
    if value is None and key.optional:
        return Setting(None, source)
    if key.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if key.kind is Path and isinstance(value, str):
        value = _path(key, value, source, None)
    # bool is a subclass of int, but `hangover_ms: true` is a mistake.
    if not isinstance(value, key.kind) or (isinstance(value, bool) and key.kind is not bool):
        raise bad_value(source, key, actual)
    if isinstance(value, int | float) and not key.bounds.low <= value <= key.bounds.high:
        raise bad_value(source, key, actual)
    if isinstance(value, str):
        _check_text(key, value, source, actual)
    if isinstance(value, Path) and value.name in ("", "..") and key.name != "service.state_directory":
        raise ConfigError(f"{source}: {key.name}: expected the path of a file, got the folder {quote(str(value))}")
    return Setting(cast(Scalar, value), source)


def _check_text(key: Key, value: str, source: str, actual: str) -> None:
    if key.choices and value not in key.choices:
        raise ConfigError(str(bad_value(source, key, actual)) + did_you_mean(value, key.choices))
    if not value or any(ord(character) < 32 for character in value):
        raise bad_value(source, key, actual if value else "nothing")
    if key.name == "audio.device" and (file := meant_file(value)):
        raise ConfigError(f"{source}: {key.name}: no microphone is called {actual}; did you mean {file}?")


def _path(key: Key, text: str, source: str, folder: Path | None) -> Path:
    """Return an absolute path; `~` is the user's home. A word for a model in the package stays as it is."""
    if not text or "\0" in text:
        raise bad_value(source, key, quote(text) if text else "nothing")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{source}: {key.name}: there is no home folder for {quote(text)}") from None
    if key.name == "model.path" and text == str(OPEN_MODEL):
        return path
    try:
        return path if path.is_absolute() else (folder or Path.cwd()) / path
    except OSError:
        raise ConfigError(
            f"{source}: {key.name}: {quote(text)} is a relative path, but the working directory is gone"
        ) from None


def quote(value: object) -> str:
    """Format a value for a message: text in quotes, at most 60 characters of it."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if _NUMBER.fullmatch(value.strip()) or value in ("true", "false"):
            return _shorten(value)
        return quote_text(value)
    return str(value)


def quote_text(value: str) -> str:
    """Format a text for a message: in quotes, at most 60 characters of it."""
    return '"' + _shorten(value).encode("unicode_escape").decode().replace('"', '\\"') + '"'


def _shorten(value: str) -> str:
    return value.strip() if len(value) <= 60 else value.strip()[:57] + "..."


def unknown_key(source: str, section: str, name: str) -> ConfigError:
    """Return the error for an unknown key of a section, with the most similar known key."""
    own = [key.partition(".")[2] for key in KEYS if key.startswith(section + ".")]
    elsewhere = [key for key in KEYS if key.partition(".")[2] == name]
    hint = did_you_mean(name, own)
    if not hint and elsewhere:
        hint = f" (it belongs to section {elsewhere[0].partition('.')[0]})"
    if not hint:
        hint = f" (there are: {', '.join(own)})"
    return ConfigError(f"{source}: {section}.{name[:60]}: unknown key{hint}")


def unknown_section(source: str, name: str) -> ConfigError:
    """Return the error for an unknown section."""
    elsewhere = [key for key in KEYS if key.partition(".")[2] == name]
    hint = did_you_mean(name, list(SECTIONS)) or (
        f" (write it under {elsewhere[0].partition('.')[0]}:)" if elsewhere else f" (there are: {', '.join(SECTIONS)})"
    )
    return ConfigError(f"{source}: {name[:60]}: unknown section{hint}")


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return `; did you mean "KNOWN"?` for the most similar of `known`, or an empty string."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
