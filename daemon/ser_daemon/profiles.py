"""Profiles: what `ser-calibrate` measured about a microphone, as the daemon reads it.

One YAML file per microphone, in the folder `profiles/` beside the config file of the user or of the machine.
The name of the device inside decides, not the name of the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_daemon.config_schema import RULES, Config, Key, Rule
from ser_daemon.config_values import ConfigError, Setting, did_you_mean
from ser_daemon.config_yaml import compose, entries, read_scalar
from ser_daemon.paths import config_files
from ser_model.config import GateConfig

FORMAT = 1
"""Grows when old readers would misunderstand a file."""

MAX_FILES = 64
"""Files looked at in one folder: more are not a collection of microphones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneProfile:
    """A microphone in its room."""

    device: str
    """The device's name, or what the setting `audio.device` says, such as `default`."""
    measured: str
    """When, as ISO 8601 in UTC."""
    noise_floor_dbfs: float
    """Level of the room while nobody speaks."""
    gain_db: float
    """Gain of the copy that the voice activity detector hears."""
    speech_level_dbfs: float
    """Level while somebody speaks."""
    snr_db: float
    """How far speech stands above the room."""
    noise_margin_db: float | None = None
    """How far above the noise floor the gate takes a sound for speech; None (a profile that was written before there
    was this key): as the configuration says."""


_KEYS: dict[str, Key] = {
    "format": Key("format", int, False, FORMAT, Rule("version of this file's format", 1, 1000)),
    "device": Key("device", str, False, "", Rule()),
    "measured": Key("measured", str, False, "", Rule("a date and time in UTC, in quotes")),
    "noise_floor_dbfs": Key("noise_floor_dbfs", float, False, None, RULES["gate.noise_floor_dbfs"]),
    "gain_db": Key("gain_db", float, False, None, RULES["gate.gain_db"]),
    "speech_level_dbfs": Key("speech_level_dbfs", float, False, None, Rule("decibels full scale", -120, 0)),
    "snr_db": Key("snr_db", float, False, None, Rule("decibels", 0, 120)),
    "noise_margin_db": Key("noise_margin_db", float, True, None, RULES["gate.noise_margin_db"]),
}


def read_profile(path: Path) -> MicrophoneProfile:
    """Read one profile file.

    Raises:
        ConfigError: It can't be read, or holds, doubles or lacks a key or value that is (not) expected.
    """
    settings: dict[str, Setting] = {}
    for name, where, node in entries(path, compose(path), "the keys of a profile"):
        key = _KEYS.get(name)
        if key is None:
            raise ConfigError(f"{where}: {name[:60]}: unknown key{did_you_mean(name, list(_KEYS))}")
        settings[name] = read_scalar(key, node, path)
    missing = [name for name, key in _KEYS.items() if name not in settings and not key.optional]
    if missing:
        raise ConfigError(f"{path}: {missing[0]}: missing; make the profile anew with ser-calibrate mic")
    values: dict[str, Any] = {name: setting.value for name, setting in settings.items()}
    if values.pop("format") > FORMAT:
        raise ConfigError(f"{settings['format'].source}: format: made by a newer ser-calibrate; expected {FORMAT}")
    return MicrophoneProfile(**values)


def write_profile(profile: MicrophoneProfile, path: Path) -> None:
    """Write a profile so that a reader finds the old file or the new one, never half of it.

    Raises:
        ConfigError: The folder or the file can't be written.
    """
    lines = ["# A microphone in its room, measured by `ser-calibrate mic`; ser-daemon reads it at its start."]
    lines.append(f"format: {FORMAT}")
    for item in dataclasses.fields(profile):
        value = getattr(profile, item.name)
        if value is not None:
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else f"{value:.1f}"
            lines.append(f"{item.name}: {text}")
    try:
        replace_file(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot write this profile: {error.strerror}; choose another with --output"
        ) from None


def replace_file(path: Path, text: str) -> None:
    """Write a file, and the folders above it, in one step: a reader finds the old file or the new one.

    Raises:
        OSError: There is no place or no permission for it; the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".profile-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; the system service runs as a user of its own.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def profile_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders that profiles are read from, the user's before the machine's."""
    return [file.parent / "profiles" for file in config_files(environ)]


def file_name(device: str) -> str:
    """Return the usual file name for a device's profile."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:80]
    return f"{slug or 'microphone'}.yaml"


def gate_with_profile(config: Config, device: str, folders: list[Path]) -> tuple[GateConfig, list[str]]:
    """Return the gate's settings for a device, and sentences for the log.

    Values that were set in the configuration win over measured ones. A profile that can't be used never stops
    the daemon: the gate then learns what the profile would have told it.

    Args:
        config: The configuration.
        device: Name of the opened device.
        folders: Where profiles are, the strongest first (`profile_folders`).
    """
    if config.audio.device.startswith("file:"):
        return config.gate, []
    names = {device, config.audio.device}
    remarks: list[str] = []
    others: list[str] = []
    for folder in folders:
        found: list[tuple[str, MicrophoneProfile, Path]] = []
        for path in _files(folder, remarks):
            try:
                profile = read_profile(path)
            except ConfigError as error:
                remarks.append(f"profile ignored: {error}")
                continue
            if profile.device in names:
                found.append((profile.measured, profile, path))
            else:
                others.append(f"{path} (for {profile.device!r})")
        if found:
            _, profile, path = max(found, key=lambda item: item[0])
            return _applied(config, profile), [*remarks, f"profile used: {path}"]
    if others:
        remarks.append(f"no profile for {device!r}; ignored: {', '.join(others[:5])}")
    return config.gate, remarks


def _files(folder: Path, remarks: list[str]) -> list[Path]:
    """Return what may be profiles; what stands in the way of looking is remarked upon."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml") and not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        remarks.append(f"profiles ignored: {folder}: cannot read this folder: {error.strerror}")
        return []
    # Opening a pipe that nobody writes to would wait without end.
    return [path for name in names[:MAX_FILES] if (path := folder / name).is_file()]


def _applied(config: Config, profile: MicrophoneProfile) -> GateConfig:
    gate = config.gate
    floor = profile.noise_floor_dbfs if gate.noise_floor_dbfs is None else gate.noise_floor_dbfs
    gain = profile.gain_db if gate.gain_db is None else gate.gain_db
    margin = profile.noise_margin_db
    if margin is None or "gate.noise_margin_db" in config.sources:
        margin = gate.noise_margin_db
    return dataclasses.replace(gate, noise_floor_dbfs=floor, gain_db=gain, noise_margin_db=margin)
