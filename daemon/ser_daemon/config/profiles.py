"""Microphone profiles: what `ser-calibrate mic` measured, for the daemon's gate.

There is one YAML file per microphone, in the folder `profiles/` beside the config file of the user or the system.
A profile applies to the device that is named in it, whatever the name of the file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml

from ser_daemon.config.device_spec import AudioFile
from ser_daemon.config.keys import Key, keys_of
from ser_daemon.config.schema import Config
from ser_daemon.config.values import ConfigError, Setting, did_you_mean
from ser_daemon.config.yaml_nodes import compose, entries, read_scalar
from ser_daemon.paths import config_files
from ser_model.atomic_file import replace_file
from ser_model.config import GateConfig, NoiseFloor, NoiseMargin, Range, VadGain

FORMAT = 1
"""Version of the file format; increased when old readers would misread a file."""

MAX_FILES = 64
"""Files read in one folder. A folder with more is not a collection of profiles."""

MAX_BYTES = 4 << 10
"""Largest profile that is read: ten times what `ser-calibrate mic` writes. Whatever 64 of them hold, they are read in
seconds."""

_SUFFIXES = (".yaml", ".yml")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneProfile:
    """Measured values of a microphone in its room."""

    device: str
    """The device's name, or what the setting `audio.device` says, such as `default`."""
    measured: Annotated[str, "a date and time in UTC, in quotes"]
    """Time of the measurement, ISO 8601 in UTC."""
    noise_floor_dbfs: NoiseFloor
    """Level of the room while nobody speaks."""
    gain_db: VadGain
    """Gain of the copy of the signal for the voice activity detector."""
    speech_level_dbfs: Annotated[float, Range(-120, 0, "decibels full scale")]
    """Level while somebody speaks."""
    snr_db: Annotated[float, Range(0, 120, "decibels")]
    """Level of speech above the noise floor."""
    noise_margin_db: NoiseMargin | None = None
    """Margin above the noise floor from which a sound may be speech. Older profiles lack it: `None` uses the
    configured margin."""


@dataclass(frozen=True, slots=True)
class ProfileMessage:
    """A sentence for the log."""

    text: str
    warning: bool
    """Whether a profile was ignored; the text says why."""


_KEYS = {
    "format": Key(name="format", kind=int, bounds=Range(1, 1000), unit="version of this file's format"),
    **keys_of(MicrophoneProfile),
}


def read_profile(path: Path) -> MicrophoneProfile:
    """Read one profile file.

    Raises:
        ConfigError: The file cannot be read, or a key or value is missing, repeated or not accepted.
    """
    settings: dict[str, Setting] = {}
    # The format first: a newer one may have other keys.
    nodes = entries(path, compose(path, MAX_BYTES), "the keys of a profile")
    for name, where, node in sorted(nodes, key=_is_not_format):
        key = _KEYS.get(name)
        if key is None:
            raise ConfigError(f"{where}: {name[:60]}: unknown key{did_you_mean(name, list(_KEYS))}")
        setting = settings[name] = read_scalar(key, node, path)
        if name == "format" and isinstance(setting.value, int) and setting.value > FORMAT:
            raise ConfigError(
                f"{where}: format: expected {FORMAT}, got {setting.value}, which is a newer ser-calibrate's"
            )
    missing = [name for name, key in _KEYS.items() if name not in settings and not key.optional]
    if missing:
        raise ConfigError(f"{path}: {missing[0]}: missing; make the profile anew with ser-calibrate mic")
    values: dict[str, Any] = {name: setting.value for name, setting in settings.items() if name != "format"}
    return MicrophoneProfile(**values)


def _is_not_format(entry: tuple[str, str, yaml.Node]) -> bool:
    return entry[0] != "format"


def write_profile(profile: MicrophoneProfile, path: Path) -> None:
    """Write a profile atomically.

    Raises:
        ConfigError: The folder or the file cannot be written.
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


def profile_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders of profiles, the user's before the system's."""
    return [file.parent / "profiles" for file in config_files(environ)]


def profile_file_name(device: str) -> str:
    """Return the default file name of a device's profile."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:80]
    return f"{slug or 'microphone'}.yaml"


def gate_with_profile(config: Config, device: str, folders: list[Path]) -> tuple[GateConfig, list[ProfileMessage]]:
    """Return the gate's settings for a device, and messages about profiles with at most one warning.

    Configured values override measured ones. A profile that cannot be used is not an error: the gate then learns
    the values while listening.

    Args:
        config: The configuration.
        device: Name of the opened device.
        folders: Folders of profiles, the strongest first (`profile_folders`).
    """
    if isinstance(config.audio.device_spec, AudioFile):
        return config.gate, []
    names = dict.fromkeys((device, config.audio.device))
    expected = " or ".join(f'"{name}"' for name in names)
    broken: list[str] = []
    others: list[str] = []
    for folder in folders:
        found: list[tuple[str, MicrophoneProfile, Path]] = []
        for path in _profile_files(folder, broken):
            try:
                profile = read_profile(path)
            except ConfigError as error:
                broken.append(str(error))
                continue
            if profile.device in names:
                found.append((profile.measured, profile, path))
            else:
                others.append(f'{path}: device: expected {expected}, got "{profile.device}"')
        if found:
            # Profiles of other devices are no reason to warn when one matches.
            _, profile, path = max(found, key=lambda item: item[0])
            return _apply(config, profile), [
                *_warnings(broken),
                ProfileMessage(f"Microphone's profile used: {path}", warning=False),
            ]
    return config.gate, _warnings(broken + others)


def _warnings(reasons: list[str]) -> list[ProfileMessage]:
    if not reasons:
        return []
    more = [f"and {len(reasons) - _MOST_NAMED} more"] if len(reasons) > _MOST_NAMED else []
    return [ProfileMessage(f"Microphone's profile ignored: {'; '.join(reasons[:_MOST_NAMED] + more)}", warning=True)]


def _profile_files(folder: Path, broken: list[str]) -> list[Path]:
    """Return the files that may be profiles; add errors to `broken`."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIXES) and not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        broken.append(f"{folder}: cannot read this folder: {error.strerror}")
        return []
    return [folder / name for name in names[:MAX_FILES]]


def _apply(config: Config, profile: MicrophoneProfile) -> GateConfig:
    gate = config.gate
    floor = profile.noise_floor_dbfs if gate.noise_floor_dbfs is None else gate.noise_floor_dbfs
    gain = profile.gain_db if gate.gain_db is None else gate.gain_db
    margin = profile.noise_margin_db
    if margin is None or "gate.noise_margin_db" in config.sources:
        margin = gate.noise_margin_db
    return dataclasses.replace(gate, noise_floor_dbfs=floor, gain_db=gain, noise_margin_db=margin)
