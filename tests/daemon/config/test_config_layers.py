"""Each layer overrides single keys of the one below, and messages name the layer of a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_daemon.config.loading import ConfigError, config_files, load_config
from ser_daemon.config.schema import KEYS


@pytest.fixture
def layers(tmp_path: Path) -> dict[str, Path]:
    """A system, a user and a named file, each with other values."""
    texts = {
        "system": "gate: {engine: webrtc, threshold: 0, hangover_ms: 201, pre_roll_ms: 201}\n",
        "user": "gate: {hangover_ms: 202, pre_roll_ms: 202, threshold: 0.2}\n",
        "named": "gate: {hangover_ms: 203, pre_roll_ms: 203, min_speech_ms: 203}\n",
    }
    files = {name: tmp_path / f"{name}.yaml" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    return files


def test_the_stronger_layer_wins_key_by_key(layers: dict[str, Path]) -> None:
    config = load_config(
        path=layers["named"],
        environ={"SER_GATE_HANGOVER_MS": "204", "SER_GATE_PRE_ROLL_MS": "204"},
        overrides={"gate.hangover_ms": 205, "gate.webrtc_mode": None},
        default_files=[layers["user"], layers["system"]],
    )
    gate = config.gate
    assert (gate.hangover_ms, gate.pre_roll_ms, gate.min_speech_ms) == (205, 204, 203)
    assert (gate.threshold, gate.engine, gate.webrtc_mode) == (0.2, "webrtc", 3)
    assert config.files == (layers["named"], layers["user"], layers["system"])
    assert config.sources == {
        "gate.hangover_ms": "command line",
        "gate.pre_roll_ms": "environment SER_GATE_PRE_ROLL_MS",
        "gate.min_speech_ms": f"{layers['named']}:1",
        "gate.threshold": f"{layers['user']}:1",
        "gate.engine": f"{layers['system']}:1",
    }


def test_the_users_file_is_found_where_xdg_says(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}
    file = tmp_path / ".config" / "ser-daemon" / "config.yaml"
    assert file not in config_files(environ)
    file.parent.mkdir(parents=True)
    file.write_text("gate: {hangover_ms: 222}\n")
    assert config_files(environ)[0] == file
    assert load_config(environ=environ).gate.hangover_ms == 222
    assert file not in config_files({**environ, "XDG_CONFIG_HOME": str(tmp_path / "elsewhere")})
    assert config_files({"XDG_CONFIG_HOME": str(tmp_path / ".config"), "HOME": "/nonexistent"})[0] == file


def test_the_command_line_replaces_the_file_of_ser_config(layers: dict[str, Path]) -> None:
    environ = {"SER_CONFIG": str(layers["user"])}
    assert load_config(environ=environ, default_files=[]).gate.hangover_ms == 202
    assert (
        load_config(path=layers["named"], environ=environ, default_files=[]).gate.threshold
        == KEYS["gate.threshold"].default
    )


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=rf"^--config: there is no file {missing}; check the path"):
        load_config(path=missing, environ={}, default_files=[])
    with pytest.raises(ConfigError, match=rf"^environment SER_CONFIG: there is no file {missing};"):
        load_config(environ={"SER_CONFIG": str(missing)}, default_files=[])


@pytest.mark.parametrize("name", KEYS)
def test_every_key_can_be_set_from_the_environment(name: str) -> None:
    key = KEYS[name]
    value = key.default
    if value is None:
        value = Path("/tmp/x") if key.kind is Path else key.kind(key.bounds.low)
    config = load_config(environ={key.variable: str(value).lower()}, default_files=[])
    section, _, field = name.partition(".")
    assert getattr(getattr(config, section), field) == value
    assert config.sources == {name: f"environment {key.variable}"}


def test_ser_socket_sets_the_socket_path() -> None:
    assert load_config(environ={"SER_SOCKET": "/tmp/s.sock"}, default_files=[]).socket.path == Path("/tmp/s.sock")
    with pytest.raises(ConfigError, match=r"socket\.path: also set in environment SER_SOCKET; keep one"):
        load_config(environ={"SER_SOCKET": "/tmp/s", "SER_SOCKET_PATH": "/tmp/t"}, default_files=[])


@pytest.mark.parametrize(
    "environ",
    [{"SER_DATA": "/x"}, {"SER_GATE_ENGINE": " "}, {"SERIAL": "1"}, {"SER_VERBATIM": "1"}, {"SER_HOME": "1"}],
)
def test_variables_of_other_programs_and_empty_ones_are_ignored(environ: dict[str, str]) -> None:
    assert load_config(environ=environ, default_files=[]).sources == {}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"SER_GATE_HANGOVR_MS": "500"},
            'environment SER_GATE_HANGOVR_MS: unknown variable; did you mean "SER_GATE_HANGOVER_MS"?',
        ),
        (
            {"SER_GATTE_ENGINE": "webrtc"},
            'environment SER_GATTE_ENGINE: unknown variable; did you mean "SER_GATE_ENGINE"?',
        ),
        (
            {"SER_LOG_LEVEL": "debug"},
            'environment SER_LOG_LEVEL: unknown variable; did you mean "SER_SERVICE_LOG_LEVEL"?',
        ),
        (
            {"SER_LOGLEVEL": "debug"},
            'environment SER_LOGLEVEL: unknown variable; did you mean "SER_SERVICE_LOG_LEVEL"?',
        ),
        (
            {"SER_DEVICE": "USB"},
            'environment SER_DEVICE: unknown variable; did you mean "SER_AUDIO_DEVICE"?',
        ),
        (
            {"SER_GATE_COLOUR": "red"},
            "environment SER_GATE_COLOUR: unknown variable; see docs/configuration.md for the names",
        ),
        (
            {"SER_GATE_HANGOVER_MS": "soon"},
            "environment SER_GATE_HANGOVER_MS: gate.hangover_ms: "
            'expected an integer from 100 to 5000 (milliseconds), got "soon"',
        ),
        (
            {"SER_GATE_HANGOVER_MS": "9" * 5000},
            "environment SER_GATE_HANGOVER_MS: gate.hangover_ms: "
            "expected an integer from 100 to 5000 (milliseconds), got " + "9" * 57 + "...",
        ),
    ],
)
def test_errors_name_the_variable(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ=environ, default_files=[])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"audio.channel": 0},
            "command line: audio.channel: expected an integer from 1 to 64 (counted from 1), or null, got 0",
        ),
        ({"audio.pace": "slow"}, 'command line: audio.pace: expected one of realtime, fast, got "slow"'),
        ({"audio.devise": "x"}, 'command line: audio.devise: unknown key; did you mean "device"?'),
        ({"service.start_muted": 1}, "command line: service.start_muted: expected true or false, got 1"),
    ],
)
def test_errors_name_the_command_line(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={}, overrides=overrides, default_files=[])
    assert str(caught.value) == message


def test_a_contradiction_is_reported_at_the_key_that_was_set() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"SER_DECISION_WINDOW_MS": "500"}, overrides={"decision.update_ms": 600}, default_files=[])
    assert str(caught.value) == "command line: decision.update_ms: expected at most decision.window_ms (500), got 600"
    with pytest.raises(ConfigError) as caught:
        load_config(
            environ={"SER_SERVICE_FRAME_DEADLINE_SECONDS": "0.5"}, overrides={"audio.read_ms": 400}, default_files=[]
        )
    assert str(caught.value).startswith("environment SER_SERVICE_FRAME_DEADLINE_SECONDS: ")
