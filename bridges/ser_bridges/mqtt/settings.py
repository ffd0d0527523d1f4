"""The settings of `ser-mqtt`: from the command line, and from a YAML file with the same names."""

from __future__ import annotations

import argparse
import os
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ser_bridges.mqtt.identity import Topics, check_id, default_room, machine_id, make_topics
from ser_model.errors import SerError

COMMANDS = ("mute", "unmute", "hold", "release", "reset-adaptation")
"""What the broker's clients may have carried out."""

LARGEST_FILE = 64 * 1024
"""Bytes of a settings or password file that are read at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their defaults; a file key is the field's name."""

    host: str = "localhost"
    port: int | None = None
    """None: 8883 with TLS, else 1883."""
    tls: bool = False
    """Also on with `ca_file` or `certificate`."""
    ca_file: str | None = None
    """PEM file of the authorities that may have signed the broker's certificate; None: the system's."""
    certificate: str | None = None
    """PEM file with this client's certificate."""
    key: str | None = None
    """PEM file with its private key; None: it is in `certificate`."""
    user: str | None = None
    password_file: str | None = None
    """File whose first line is the password."""
    room: str | None = None
    """None: the name of the machine."""
    id: str | None = None
    """None: a number of the machine."""
    topic_prefix: str = "ser-daemon"
    discovery_prefix: str = "homeassistant"
    discovery: bool = True
    partials: bool = False
    commands: list[str] | None = None
    """None: all of `COMMANDS`."""
    folder: Path = Path()
    """Relative files are looked for here; set by `read_settings`."""

    @property
    def secure(self) -> bool:
        """Whether the connection uses TLS."""
        return self.tls or self.ca_file is not None or self.certificate is not None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the broker."""
        return self.host, self.port or (8883 if self.secure else 1883)

    @property
    def device(self) -> str:
        """The id of this microphone: that of the MQTT client and of the device in Home Assistant."""
        return f"ser-{machine_id()}" if self.id is None else check_id(self.id)

    @property
    def room_name(self) -> str:
        """The room, as a person writes it."""
        return self.room or default_room()

    @property
    def topics(self) -> Topics:
        """All topics; raises `SerError` where a part of them is not possible."""
        return make_topics(self.topic_prefix, self.discovery_prefix, self.room_name, self.device)

    @property
    def allowed(self) -> frozenset[str]:
        """Commands that are carried out."""
        return frozenset(COMMANDS if self.commands is None else self.commands)

    def file(self, name: str) -> Path:
        """Return where a file is: among systemd's credentials, else relative to the settings file."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and "/" not in name and (Path(credentials) / name).is_file():
            return Path(credentials) / name
        return self.folder / Path(name).expanduser()


_KINDS: dict[str, type] = {
    "port": int,
    "tls": bool,
    "discovery": bool,
    "partials": bool,
    "commands": list,
}
"""Types of the keys that are no text."""

_KIND_NAMES = {int: "a whole number", bool: "true or false", list: "a list", str: "text"}

KEYS = tuple(field.name for field in fields(Settings) if field.name != "folder")


def read_settings(options: argparse.Namespace) -> Settings:
    """Combine the settings file, if one is named, with the options, which win.

    Raises:
        SerError: a value is not possible; names the key and where it came from.
    """
    values: dict[str, Any] = {}
    folder = Path()
    if options.config is not None:
        values = _read_file(options.config)
        folder = options.config.absolute().parent
        # Files named on the command line are relative to where the user is.
    for name in KEYS:
        given = getattr(options, name, None)
        if given is not None:
            is_file = name in ("ca_file", "certificate", "key", "password_file")
            values[name] = str(Path(given).absolute()) if is_file else given
    settings = Settings(**values, folder=folder)
    _check(settings)
    return settings


def read_password(settings: Settings) -> str | None:
    """Return the password; None where there is none.

    Raises:
        SerError: the file cannot be read, is empty, or may be read by everybody.
    """
    if settings.password_file is None:
        return None
    path = settings.file(settings.password_file)
    mode, text = path.stat().st_mode, _read_text(path)
    if mode & stat.S_IROTH:
        raise SerError(f"{path} can be read by everybody on this machine: chmod 600 {path}")
    password = text.partition("\n")[0].rstrip("\r")
    if not password:
        raise SerError(f"{path} is empty; its first line is to be the password of the broker.")
    return password


def _check(settings: Settings) -> None:
    if not settings.host or any(character.isspace() for character in settings.host):
        raise SerError(f"host is {settings.host!r}; expected the name or address of the broker.")
    if settings.port is not None and not 1 <= settings.port <= 65535:
        raise SerError(f"port is {settings.port}; expected 1 to 65535.")
    if settings.password_file is not None and settings.user is None:
        raise SerError("There is a password_file but no user; name the broker's user, too.")
    if settings.key is not None and settings.certificate is None:
        raise SerError("There is a key but no certificate; name the certificate, too.")
    unknown = [name for name in settings.commands or () if name not in COMMANDS]
    if unknown:
        raise SerError(f"commands has {unknown[0]!r}; expected some of {', '.join(COMMANDS)}.")
    # Says what is wrong with the room, the id and the prefixes before anything starts.
    _ = settings.topics


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(_read_text(path))
    # Besides its own error: brackets without end, a number of thousands of digits, a date that does not exist.
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise SerError(
            f"{path}{where} is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SerError(f"{path} is to hold lines such as `host: broker.lan`.")
    for name, value in content.items():
        if name not in KEYS:
            raise SerError(f"{path} has the key {name!r}; expected some of {', '.join(KEYS)}.")
        kind = _KINDS.get(name, str)
        items = value if isinstance(value, list) else ()
        if type(value) is not kind or not all(isinstance(item, str) for item in items):
            raise SerError(f"{path}: {name} is {value!r}; expected {_KIND_NAMES[kind]}.")
        if isinstance(value, str) and not value.isprintable():
            raise SerError(f"{path}: {name} is {value!r}; it holds a character that cannot be printed.")
    return content


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise SerError(f"{path} is longer than {LARGEST_FILE} bytes; is it the right file?")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SerError(f"{path} is not text in UTF-8; is it the right file?") from None
