"""The configuration: files, variables and the command line; and profiles of microphones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.files import folder, place
from fuzz.invariants import require
from fuzz.strategies import extremes, file_kinds, grown, odd_texts, scalars, to_text
from fuzz.target import register
from ser_daemon.config.loading import Config, load_config
from ser_daemon.config.profiles import gate_with_profile
from ser_daemon.config.schema import KEYS, SECTIONS
from ser_daemon.pipeline.gate_selector import GateSelector

good_values = st.sampled_from(["1", "100", "0.5", "true", "false", "null", "~", "silero", "webrtc", "default", "fast"])
plain = st.one_of(
    good_values, st.integers(-10, 10**6).map(str), st.sampled_from([".inf", ".nan", "1e400", "0x1f", "yes"])
)
scalar_texts = st.one_of(
    plain,
    plain,
    st.tuples(st.just("quoted"), odd_texts | grown | extremes),
    st.sampled_from(
        ["*a", "&a 1", "!!python/object:os.system x", "!!binary aa", "|\n  x", "[1, 2]", "{a: 1}", "&a [*a]"]
    ),
    odd_texts,
    extremes,
)
section_names = st.one_of(
    st.sampled_from(list(SECTIONS)),
    st.sampled_from(list(SECTIONS)),
    odd_texts,
    st.tuples(st.just("quoted"), odd_texts | grown),
)
field_names = st.one_of(
    st.sampled_from([name.partition(".")[2] for name in KEYS]),
    odd_texts,
    st.tuples(st.just("quoted"), odd_texts | grown),
)
documents = st.lists(
    st.tuples(section_names, st.lists(st.tuples(field_names, scalar_texts), max_size=4)),
    max_size=4,
)
whole_files = st.one_of(
    st.tuples(st.just("sections"), documents),
    st.tuples(st.just("sections"), documents),
    st.tuples(st.just("right"), st.lists(st.tuples(st.sampled_from(list(KEYS)), scalar_texts), max_size=5)),
    st.tuples(st.just("text"), st.lists(scalar_texts, max_size=5)),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)


def to_yaml(text: Any) -> str:
    """A scalar as it stands in a file; quoted ones have their control characters as YAML's escapes."""
    match text:
        case ("quoted", inner):
            return json.dumps(to_text(inner))
        case ("nest", bracket, depth, core):
            return bracket * min(depth, 2000) + core
    return to_text(text)


def to_file(file: tuple[Any, ...]) -> bytes:
    """The bytes of a file."""
    match file:
        case ("sections", sections):
            lines = []
            for name, fields in sections:
                lines.append(f"{to_yaml(name)}:")
                lines += [f"  {to_yaml(field)}: {to_yaml(value)}" for field, value in fields]
            text = "\n".join(lines)
        case ("right", pairs):
            text = "\n".join(_one(name, to_yaml(value)) for name, value in pairs)
        case ("text", parts):
            text = "\n".join(map(to_yaml, parts))
        case _:
            return bytes(file[1])
    return text.encode("utf-8", "surrogatepass")


def _one(name: str, value: str) -> str:
    section, _, field = name.partition(".")
    return f"{section}: {{{field}: {value}}}"


@register(
    "config-file", st.tuples(file_kinds, whole_files, file_kinds, whole_files), quick=200, isolated=True, seconds=8.0
)
def check_config_file(example: tuple[Any, ...]) -> None:
    """A file is read, or refused with one printable sentence; one that is there is never passed over."""
    kind, file, other_kind, other = example
    with folder() as path:
        files = [path / "user" / "config.yaml", path / "machine" / "config.yaml"]
        place(files[0], kind, to_file(file))
        place(files[1], other_kind, to_file(other))
        config = load_config(environ={}, default_files=files)
        for name, one in zip((kind, other_kind), files, strict=True):
            require(name == "missing" or one in config.files, "configuration passed over", f"a {name} was ignored")


variable_names = st.one_of(
    st.sampled_from([key.variable for key in KEYS.values()]),
    st.sampled_from(["SER_SOCKET", "SER_CONFIG", "SER_DATA", "SER_LOG_LEVEL", "SER_GATE_ENGIN", "SER_GATE_", "SER_"]),
    odd_texts.map(lambda text: "SER_" + text.replace("\0", "").replace("=", "")),
)
variable_values = st.one_of(plain, odd_texts, grown, extremes, st.sampled_from(["~nobody/x", "/", "..", "²", "１２"]))
environments = st.dictionaries(variable_names, variable_values, max_size=4)
overrides = st.dictionaries(
    st.sampled_from([*KEYS, "audio.", "x"]), st.one_of(st.none(), plain, odd_texts, scalars), max_size=3
)


@register("environment", st.tuples(environments, overrides), quick=300, seconds=3.0)
def check_environment(example: tuple[Any, ...]) -> None:
    """Variables and options are accepted, or refused with one printable sentence."""
    variables, given = example
    environ = {name: to_text(value).replace("\0", "") for name, value in variables.items()}
    options = {name: to_text(value) if isinstance(value, tuple) else value for name, value in given.items()}
    load_config(environ=environ, overrides=options, default_files=[])


FIELDS = [
    "format",
    "device",
    "measured",
    "noise_floor_dbfs",
    "gain_db",
    "speech_level_dbfs",
    "snr_db",
    "noise_margin_db",
]
GOOD = {
    "format": "1",
    "device": '"mic"',
    "measured": '"2026-01-01T00:00:00Z"',
    "noise_floor_dbfs": "-60.0",
    "gain_db": "6.0",
    "speech_level_dbfs": "-30.0",
    "snr_db": "30.0",
}
profiles = st.one_of(
    st.tuples(st.just("fields"), st.dictionaries(st.sampled_from(FIELDS) | odd_texts, scalar_texts, max_size=3)),
    st.tuples(st.just("text"), st.lists(scalar_texts, max_size=5)),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)
file_names = st.one_of(
    st.sampled_from(["mic.yaml", "b.yml", "c.yaml", ".hidden.yaml"]),
    odd_texts.map(lambda text: text.replace("/", "").replace("\0", "")[:60] + ".yaml"),
)


def to_profile(file: tuple[Any, ...]) -> bytes:
    """The bytes of a profile, good but for some fields."""
    if file[0] != "fields":
        return to_file(file)
    lines = [f"{to_yaml(name)}: {to_yaml(value)}" for name, value in {**GOOD, **file[1]}.items()]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@register(
    "profile",
    st.tuples(odd_texts, st.lists(st.tuples(file_names, file_kinds, profiles), max_size=8)),
    quick=100,
    isolated=True,
    seconds=8.0,
)
def check_profile(example: tuple[Any, ...]) -> None:
    """A profile is used, or ignored with one printable sentence."""
    device, files = example
    with folder() as path:
        for name, kind, profile in files:
            target = Path(f"{path}/{name.encode('utf-8', 'ignore').decode()}")
            if not target.is_symlink() and not target.exists():
                place(target, kind, to_profile(profile))
        gate_with_profile(Config(), device, [path])
        # This logs the messages, and the log is checked.
        GateSelector(Config(), device, [path]).device_opened(device)
