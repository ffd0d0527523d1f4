"""config.yaml documents the defaults; errors in a config file name the line and what is expected."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ser_daemon.config.loading import ConfigError, load_config
from ser_daemon.config.schema import KEYS
from ser_daemon.config.yaml_nodes import read_config_file
from support.settings import uncommented_settings

ROOT = Path(__file__).resolve().parents[3]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def error_for(tmp_path: Path, text: str) -> str:
    """Return the error for a file, without the name of the file."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path=path, environ={}, default_files=[])
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def test_the_file_that_is_installed_sets_nothing_so_that_later_defaults_hold() -> None:
    assert read_config_file(ROOT / "config.yaml") == {}


def test_the_documented_file_names_every_key_once_with_its_default(tmp_path: Path) -> None:
    path = uncommented_settings(tmp_path)
    settings = read_config_file(path)
    assert list(settings) == list(KEYS)
    assert {name: setting.value for name, setting in settings.items()} == {
        name: key.default for name, key in KEYS.items()
    }
    assert load_config(path=path, environ={}, default_files=[]) == load_config(environ={}, default_files=[])


def test_the_documented_file_states_the_ranges_and_choices_that_are_checked() -> None:
    comments: dict[str, str] = {}
    section, comment = "", ""
    for line in (ROOT / "config.yaml").read_text().splitlines():
        if found := re.fullmatch(r"(\w+):", line):
            section = found[1]
        elif found := re.fullmatch(r"  #(\w+): .*", line):
            comments[f"{section}.{found[1]}"], comment = comment, ""
        elif line.startswith("  # "):
            comment += " " + line.removeprefix("  # ")
    assert set(comments) == set(KEYS)
    for name, key in KEYS.items():
        assert comments[name], name
        for choice in key.choices:
            assert choice in comments[name], name
        # The comments leave out the ranges of channels and rates, which depend on the hardware.
        if key.bounds.high < float("inf") and not name.startswith(("audio.raw_", "audio.channel")):
            numbers = {float(number) for number in re.findall(r"-?\d+\.?\d*", comments[name].replace(",", " "))}
            assert {key.bounds.low, key.bounds.high} <= numbers, name


def test_every_number_has_a_range_and_a_unit_and_nothing_else_has() -> None:
    for name, key in KEYS.items():
        number = key.kind in (int, float)
        assert (math.isfinite(key.bounds.low), math.isfinite(key.bounds.high), bool(key.unit)) == (number,) * 3, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gate:\n  hangover_ms: soon\n",
            ':2: gate.hangover_ms: expected an integer from 100 to 5000 (milliseconds), got "soon"',
        ),
        ("gate:\n  hangover_mss: 5\n", ':2: gate.hangover_mss: unknown key; did you mean "hangover_ms"?'),
        ("gat:\n  hangover_ms: 5\n", ':1: gat: unknown section; did you mean "gate"?'),
        ("hangover_ms: 500\n", ":1: hangover_ms: unknown section (write it under gate:)"),
        ("audio:\n  hangover_ms: 500\n", ":2: audio.hangover_ms: unknown key (it belongs to section gate)"),
        (
            "gate:\n  engine: webrtc\n  engine: silero\n",
            ":3: gate.engine: set a second time, first in {file}:2; keep one",
        ),
        ("gate: {}\n# x\ngate: {}\n", ":3: gate: set a second time, first in {file}:1; keep one"),
        (
            "gate:\n  engine: webrct\n",
            ':2: gate.engine: expected one of silero, webrtc, got "webrct"; did you mean "webrtc"?',
        ),
        ("service:\n  start_muted: yes\n", ':2: service.start_muted: expected true or false, got "yes"'),
        (
            'service:\n  start_muted: "true"\n',
            ':2: service.start_muted: expected true or false, got the text "true"; remove the quotes',
        ),
        (
            "gate:\n  hangover_ms: true\n",
            ":2: gate.hangover_ms: expected an integer from 100 to 5000 (milliseconds), got true",
        ),
        (
            "gate:\n  hangover_ms: 700.5\n",
            ":2: gate.hangover_ms: expected an integer from 100 to 5000 (milliseconds), got 700.5",
        ),
        (
            "gate:\n  hangover_ms: 99\n",
            ":2: gate.hangover_ms: expected an integer from 100 to 5000 (milliseconds), got 99",
        ),
        (
            "gate:\n  hangover_ms:\n",
            ":2: gate.hangover_ms: expected an integer from 100 to 5000 (milliseconds), got nothing",
        ),
        (
            "gate:\n  threshold: [0.5]\n",
            ":2: gate.threshold: expected a number from 0 to 1 (probability), got a list",
        ),
        (
            "gate:\n  threshold: .nan\n",
            ':2: gate.threshold: expected a number from 0 to 1 (probability), got ".nan"',
        ),
        (
            "gate:\n  threshold: 1e400\n",
            ":2: gate.threshold: expected a number from 0 to 1 (probability), got 1e400",
        ),
        (
            "audio:\n  device: yes\n",
            ":2: audio.device: expected text, got yes; put it in quotes if it is meant as text",
        ),
        ('audio:\n  device: ""\n', ":2: audio.device: expected text, got nothing"),
        ("- gate\n", ":1: expected a section with its keys, got a list"),
        ("gate: 5\n", ":1: gate: expected the keys of the section, got 5"),
        ("gate:\n  ? [a]\n  : 1\n", ":2: expected a key, got a list"),
        (
            "gate:\n\thangover_ms: 1\n",
            ":2: not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("gate: {\n", ":2: not valid YAML: expected the node content, but found '<stream end>'"),
        ("gate: {}\n---\naudio: {}\n", ":2: not valid YAML: but found another document"),
        ("gate: *x\n", ":1: not valid YAML: found undefined alias 'x'"),
        ("# \x07\n", ":1: not valid YAML: character '\\x07' is not allowed"),
        ("[" * 5000, ": not valid YAML: nested too deeply"),
        (
            "gate:\n  hangover_ms: 5000\n  max_utterance_ms: 3000\n",
            ":2: gate.hangover_ms: expected at most gate.max_utterance_ms (3000), got 5000",
        ),
        (
            "decision:\n  update_ms: 4000\n",
            ":2: decision.update_ms: expected at most decision.window_ms (3000), got 4000",
        ),
        (
            "decision:\n  window_ms: 500\n  update_ms: 500\n  min_voiced_ms: 501\ngate:\n  hangover_ms: 600\n"
            "service:\n  frame_deadline_seconds: 0.5\naudio:\n  latency_ms: 500\n",
            ":10: audio.latency_ms: expected at most service.frame_deadline_seconds (0.5), got 500; "
            "the device's buffer and one read together must fit into the deadline",
        ),
    ],
)
def test_errors_name_the_line_and_what_is_expected(tmp_path: Path, text: str, message: str) -> None:
    expected = message.replace("{file}", str(tmp_path / "config.yaml"))
    assert error_for(tmp_path, text) == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "gate:\n", "gate: {}\naudio: ~\n", "\ufeffgate:\n"])
def test_a_file_that_sets_nothing_leaves_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_config(path=write(tmp_path, text), environ={}, default_files=[]) == load_config(
        environ={}, default_files=[]
    )


def test_values_are_read_by_the_type_of_their_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "audio: {device: 3, channel: 2}\n"
        "gate: {threshold: 1, hangover_ms: 0700, gain_db: null, noise_floor_dbfs: -6e1}\n"
        "model: {path: models/mine.onnx}\n"
        "service: {start_muted: TRUE}\n",
    )
    config = load_config(path=path, environ={}, default_files=[])
    assert (config.audio.device, config.audio.channel) == ("3", 2)
    assert config.gate.threshold == 1.0
    assert isinstance(config.gate.threshold, float)
    # YAML 1.1 would read the leading zero as octal.
    assert config.gate.hangover_ms == 700
    assert config.gate.gain_db is None
    assert config.gate.noise_floor_dbfs == -60.0
    # Relative paths start at the folder of the file.
    assert config.model.path == tmp_path / "models" / "mine.onnx"
    assert config.service.start_muted is True


def test_a_word_for_a_model_in_the_package_is_no_path(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text, expected in (("open", Path("open")), ("./open", tmp_path / "open"), ("open/", tmp_path / "open")):
        path.write_text(f"model: {{path: {text}}}\n")
        assert load_config(path=path, environ={}, default_files=[]).model.path == expected


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"gate:\n  engine: \xff\n")
    with pytest.raises(ConfigError, match=r":2: expected UTF-8 text, got byte 0xff"):
        read_config_file(path)


@given(
    st.text(max_size=200)
    | st.builds(
        yaml.safe_dump,
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from([*KEYS, "gate", "audio", "engine", "device"]), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_any_content_is_read_or_gives_an_error_of_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    message = f"{path}: no error"
    try:
        read_config_file(path)
    except ConfigError as error:
        message = str(error)
    assert message.startswith(f"{path}:")
    assert "\n" not in message
