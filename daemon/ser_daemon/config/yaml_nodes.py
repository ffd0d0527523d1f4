"""Read a YAML file strictly, with line numbers.

PyYAML's `safe_load` accepts duplicate keys, drops line numbers, and reads `yes` as true and `010` as eight. This
module composes the file into nodes and parses each scalar by the type of its key.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from ser_daemon.config.keys import Key
from ser_daemon.config.schema import KEYS, SECTIONS
from ser_daemon.config.values import (
    ConfigError,
    Setting,
    bad_value,
    quote,
    quote_text,
    setting_from_text,
    setting_from_value,
    unknown_key,
    unknown_section,
)
from ser_model.printable import printable
from ser_model.small_file import UnreadableFileError, read_small_file

MAX_BYTES = 64 << 10
"""Largest config file that is read: ten times one with all settings and comments. Hostile YAML of this size takes a few
seconds to parse."""


def read_config_file(path: Path) -> dict[str, Setting]:
    """Return the settings of a file by dotted key.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or holds a key or value that is not accepted.
    """
    settings: dict[str, Setting] = {}
    root = compose(path)
    for name, where, node in entries(path, root, "a section with its keys"):
        if name not in SECTIONS:
            raise unknown_section(where, name)
        if is_null(node):
            continue
        for field, where_key, value in entries(path, node, "the keys of the section", name):
            key = KEYS.get(f"{name}.{field}")
            if key is None:
                raise unknown_key(where_key, name, field)
            settings[key.name] = read_scalar(key, value, path)
    return settings


def compose(path: Path, most_bytes: int = MAX_BYTES) -> yaml.Node | None:
    """Return the root node of the file's only document; `None` if it is empty.

    Raises:
        ConfigError: The file cannot be read, is larger than `most_bytes`, or is not YAML.
    """
    try:
        raw = read_small_file(path, most_bytes)
    except UnreadableFileError as error:
        raise ConfigError(f"{path}: cannot read this file: {error}") from None
    try:
        text = raw.decode("utf-8-sig")
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected UTF-8 text, got byte 0x{raw[error.start]:02x}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context or "syntax error"
        raise ConfigError(f"{path}:{line}: not valid YAML: {printable(problem, 300)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}:{line}: not valid YAML: character {chr(error.character)!r} is not allowed") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deeply") from None
    return root


def entries(path: Path, node: yaml.Node | None, expected: str, parent: str = "") -> list[tuple[str, str, yaml.Node]]:
    """Return (key, location, value) for each entry of a mapping; a missing or null node has none.

    Raises:
        ConfigError: The node is not a mapping, a key is not text, or a key is repeated.
    """
    if node is None or is_null(node):
        return []
    if not isinstance(node, yaml.MappingNode):
        name = f"{parent}: " if parent else ""
        raise ConfigError(f"{location(path, node)}: {name}expected {expected}, got {describe(node)}")
    result: list[tuple[str, str, yaml.Node]] = []
    first: dict[str, str] = {}
    for key, value in node.value:
        where = location(path, key)
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{where}: expected a key, got {describe(key)}")
        if key.value in first:
            name = f"{parent}.{key.value}" if parent else key.value
            raise ConfigError(f"{where}: {name[:60]}: set a second time, first in {first[key.value]}; keep one")
        first[key.value] = where
        result.append((key.value, where, value))
    return result


def location(path: Path, node: yaml.Node) -> str:
    """Return `FILE:LINE` of a node."""
    return f"{path}:{node.start_mark.line + 1}"


def is_null(node: yaml.Node) -> bool:
    """Whether a node is `null`, `~` or empty."""
    return bool(node.tag == "tag:yaml.org,2002:null")


def describe(node: yaml.Node) -> str:
    """Describe a node, for messages."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return quote(node.value)


def read_scalar(key: Key, node: yaml.Node, path: Path) -> Setting:
    """Parse a scalar node by the type of its key.

    Raises:
        ConfigError: The key does not accept the value.
    """
    where = location(path, node)
    if not isinstance(node, yaml.ScalarNode):
        raise bad_value(where, key, describe(node))
    quoted = node.style is not None
    if quoted and key.kind not in (str, Path):
        raise ConfigError(str(bad_value(where, key, f"the text {quote_text(node.value)}")) + "; remove the quotes")
    if is_null(node) and not quoted:
        return setting_from_value(key, None, where)
    plain = node.tag.removeprefix("tag:yaml.org,2002:")
    # An unquoted integer may be the index of a device. Other types, as in `device: yes`, are probably mistakes.
    if key.kind in (str, Path) and not quoted and plain not in ("str", "int"):
        raise ConfigError(str(bad_value(where, key, node.value[:60])) + "; put it in quotes if it is meant as text")
    return setting_from_text(key, node.value, where, path.resolve().parent)
