"""`ser-ctl config` prints what is in force and where it was set, as a config file, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ser_daemon.config.loading import load_config
from ser_daemon.config.schema import KEYS
from support.commands import Completed, environment, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / ".config" / "ser-daemon"
    folder.mkdir(parents=True)
    return tmp_path


def config(home: Path, *arguments: str, **environ: str) -> Completed:
    return run("ser-ctl", "config", *arguments, environ=environment(HOME=str(home), XDG_CONFIG_HOME=None, **environ))


def write(home: Path, text: str) -> Path:
    path = home / ".config/ser-daemon/config.yaml"
    path.write_text(text)
    return path


def test_without_settings_everything_is_a_default_and_nothing_differs(home: Path) -> None:
    ended = config(home)
    assert (ended.code, ended.err) == (0, "")
    lines = [line for line in ended.out.splitlines() if line.startswith("  ")]
    assert len(lines) == len(KEYS)
    assert all(line.endswith("  # default") for line in lines)
    assert "Nothing was set: all settings have their defaults." in config(home, "--diff").out


def test_each_setting_names_the_place_where_it_was_set(home: Path) -> None:
    path = write(home, "gate:\n  hangover_ms: 0.9s\n  threshold: 0.4\n")
    ended = config(home, "--diff", SER_SERVICE_SILENT_SECONDS="2min")
    assert ended.out.splitlines() == [
        f"# Config files: {path}",
        "gate:",
        f"  threshold: 0.4                      # {path}:3; default: 0.4",
        f"  hangover_ms: 900                    # {path}:2; default: 700",
        "service:",
        "  silent_seconds: 120.0               # environment SER_SERVICE_SILENT_SECONDS; default: 60.0",
    ]


def test_the_output_is_a_config_file_with_the_same_settings(home: Path, tmp_path: Path) -> None:
    text = 'audio: {device: "a: \\"b\\" # c"}\nadaptation: {speaker: "null"}\nservice: {state_directory: "/tmp/x y"}\n'
    path = write(home, text)
    again = tmp_path / "again.yaml"
    for arguments in ((), ("--diff",)):
        again.write_text(config(home, *arguments).out)
        first, second = (load_config(path=one, environ={}, default_files=[]) for one in (path, again))
        assert first == second
    assert second.audio.device == 'a: "b" # c'


def test_json_has_value_default_and_source(home: Path) -> None:
    path = write(home, "gate: {hangover_ms: 900}\n")
    everything, diff = (json.loads(config(home, "--json", *more).out) for more in ((), ("--diff",)))
    assert list(everything) == list(KEYS)
    assert diff == {"gate.hangover_ms": {"value": 900, "default": 700, "source": f"{path}:1"}}


def test_a_mistake_is_one_sentence_with_its_line(home: Path) -> None:
    path = write(home, "gate:\n  hangover_ms: 9sec\n")
    config(home).assert_error("ser-ctl", f"{path}:2: gate.hangover_ms", '"9sec"; a unit may be ms, s, min or h')
    config(home, "--config", "/nowhere/c.yaml").assert_error("ser-ctl", "there is no file /nowhere/c.yaml")


def test_with_system_the_files_and_variables_of_the_user_do_not_count(home: Path) -> None:
    write(home, "gate: {hangover_ms: 900}\n")
    assert "hangover_ms" not in config(home, "--system", "--diff", SER_GATE_ENGINE="webrtc").out
