"""Load the configuration from its layers.

Each layer overrides single keys of the next one: command line > `SER_*` environment > `--config` >
`~/.config/ser-daemon/config.yaml` > `/etc/ser-daemon/config.yaml` > built-in.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_daemon import paths
from ser_daemon.config.keys import Key
from ser_daemon.config.schema import (
    KEYS,
    SECTIONS,
    Config,
    ModelConfig,
    ServiceConfig,
    SocketConfig,
)
from ser_daemon.config.values import (
    ConfigError,
    Setting,
    bad_value,
    quote,
    setting_from_text,
    setting_from_value,
    unknown_key,
)
from ser_daemon.config.yaml_nodes import read_config_file

__all__ = [
    "Config",
    "ConfigError",
    "ModelConfig",
    "ServiceConfig",
    "SocketConfig",
    "config_files",
    "load_config",
]

_log = logging.getLogger(__name__)

_SHORT_VARIABLES = {"SER_SOCKET": "socket.path"}
"""Variables without the section in their name; clients read them too."""

_OTHER_VARIABLES = frozenset({"SER_CONFIG", "SER_DATA"})
"""`SER_CONFIG` names a config file. `SER_DATA` is the folder of the recordings that tests use."""


def load_config(
    *,
    path: Path | None = None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    default_files: Sequence[Path] | None = None,
) -> Config:
    """Return the merged and checked configuration.

    Args:
        path: The file of `--config`; must exist. `None` uses the file of `SER_CONFIG`, if set.
        environ: Environment variables.
        overrides: Values of the command line by dotted key; `None` is no value.
        default_files: Files that need not exist, the strongest first. `None` uses those of the user and the system.

    Raises:
        ConfigError: A file cannot be read, or a setting is not accepted.
    """
    files = config_files(environ, path, default_files)
    settings: dict[str, Setting] = {}
    for file in reversed(files):
        _log.debug("Reading settings from %s", file)
        settings |= read_config_file(file)
    settings |= _from_environment(environ)
    settings |= _from_overrides(overrides or {})
    config = _build(settings, tuple(files))
    _check_pairs(config, settings)
    return config


def config_files(
    environ: Mapping[str, str], path: Path | None = None, default_files: Sequence[Path] | None = None
) -> list[Path]:
    """Return the config files that are read, the strongest first.

    Raises:
        ConfigError: The file of `--config` or `SER_CONFIG` does not exist.
    """
    found: list[Path] = []
    named = path or (Path(environ["SER_CONFIG"]) if environ.get("SER_CONFIG") else None)
    if named is not None:
        origin = "--config" if path else "environment SER_CONFIG"
        with contextlib.suppress(RuntimeError):
            named = named.expanduser()
        if not _exists(named):
            raise ConfigError(f"{origin}: there is no file {named}; check the path, or leave it out")
        found.append(named)
    for file in paths.config_files(environ) if default_files is None else default_files:
        if file not in found and _exists(file):
            found.append(file)
    return found


def _exists(file: Path) -> bool:
    """Whether there is anything at this path, readable or not: what cannot be read may hold settings."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        for folder in file.parents:
            if folder.is_symlink() and not folder.exists():
                raise ConfigError(
                    f"{file}: cannot read this file: {folder} is a link to something that does not exist"
                ) from None
        return False
    except OSError as error:
        raise ConfigError(f"{file}: cannot look at this file: {error.strerror}") from None
    return True


def _from_environment(environ: Mapping[str, str]) -> dict[str, Setting]:
    """Return the settings of `SER_*` variables; an empty one counts as not set."""
    variables = {key.variable: key for key in KEYS.values()}
    variables |= {name: KEYS[dotted] for name, dotted in _SHORT_VARIABLES.items()}
    settings: dict[str, Setting] = {}
    for name in sorted(environ):
        if not name.startswith("SER_") or name in _OTHER_VARIABLES or not environ[name].strip():
            continue
        key = variables.get(name)
        if key is None:
            _reject_misspelling(name, list(variables))
            continue
        source = f"environment {name}"
        if key.name in settings:
            raise ConfigError(f"{source}: {key.name}: also set in {settings[key.name].source}; keep one of the two")
        settings[key.name] = setting_from_text(key, environ[name], source)
    return settings


def _reject_misspelling(name: str, known: list[str]) -> None:
    """Raise if the variable is probably meant for the daemon; other programs may use the prefix too.

    It is if its name resembles that of a variable, also one without its section, or begins with a section.
    """
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    if not near:
        without_section = {f"SER_{key.name.partition('.')[2].upper()}": key.variable for key in KEYS.values()}
        near = [without_section[found] for found in difflib.get_close_matches(name, without_section, n=1, cutoff=0.85)]
    has_our_section = any(name.startswith(f"SER_{section.upper()}_") for section in SECTIONS)
    if near or has_our_section:
        hint = f'; did you mean "{near[0]}"?' if near else "; see docs/configuration.md for the names"
        raise ConfigError(f"environment {name}: unknown variable{hint}")


def _from_overrides(overrides: Mapping[str, object]) -> dict[str, Setting]:
    """Return the settings of the command line."""
    settings = {}
    for name, value in overrides.items():
        if value is None:
            continue
        key = KEYS.get(name)
        if key is None:
            section, _, field = name.partition(".")
            raise unknown_key("command line", section, field)
        if isinstance(value, str):
            # `--socket "$UNSET"` is a mistake, not a request for the default.
            if not value.strip():
                raise bad_value("command line", key, "nothing")
            settings[name] = setting_from_text(key, value, "command line")
        else:
            settings[name] = setting_from_value(key, value, "command line")
    return settings


def _build(settings: Mapping[str, Setting], files: tuple[Path, ...]) -> Config:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, setting in settings.items():
        section, _, field = name.partition(".")
        sections[section][field] = setting.value
    built: dict[str, Any] = {section: cls(**sections[section]) for section, cls in SECTIONS.items()}
    sources = {name: setting.source for name, setting in settings.items()}
    return Config(**built, files=files, sources=sources)


def _check_pairs(config: Config, settings: Mapping[str, Setting]) -> None:
    """Check the pairs of keys of which the first must not exceed the second."""
    gate, decision, service = config.gate, config.decision, config.service
    deadline_ms = service.frame_deadline_seconds * 1000
    read_ms = config.audio.latency_ms + config.audio.read_ms
    pairs = (
        ("gate.hangover_ms", gate.hangover_ms, "gate.max_utterance_ms", gate.max_utterance_ms),
        ("gate.min_speech_ms", gate.min_speech_ms, "gate.max_utterance_ms", gate.max_utterance_ms),
        ("gate.pre_roll_ms", gate.pre_roll_ms, "gate.max_utterance_ms", gate.max_utterance_ms),
        ("decision.update_ms", decision.update_ms, "decision.window_ms", decision.window_ms),
        ("decision.min_voiced_ms", decision.min_voiced_ms, "gate.max_utterance_ms", gate.max_utterance_ms),
        ("audio.latency_ms", read_ms, "service.frame_deadline_seconds", deadline_ms),
    )
    for low_name, low, high_name, high in pairs:
        if low > high:
            _reject_pair(KEYS[low_name], KEYS[high_name], config, settings)


def _reject_pair(low: Key, high: Key, config: Config, settings: Mapping[str, Setting]) -> None:
    """Raise for a pair of keys, at the location of the one that was set."""
    if low.name in settings:
        at, text = (
            low,
            f"expected at most {high.name} ({quote(config.value(high.name))}), got {quote(config.value(low.name))}",
        )
    else:
        at, text = (
            high,
            f"expected at least {low.name} ({quote(config.value(low.name))}), got {quote(config.value(high.name))}",
        )
    if low.name == "audio.latency_ms":
        text += "; the device's buffer and one read together must fit into the deadline"
    raise ConfigError(f"{settings[at.name].source}: {at.name}: {text}")
