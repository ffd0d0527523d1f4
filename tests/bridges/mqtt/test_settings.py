"""The settings of `ser-mqtt`, its names, and what is said about mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ser_bridges.mqtt.cli import build_parser
from ser_bridges.mqtt.commands import read_command
from ser_bridges.mqtt.identity import machine_id, make_topics, room_topic
from ser_bridges.mqtt.settings import Settings, read_password, read_settings
from ser_model.errors import SerError


def settings(*arguments: object) -> Settings:
    return read_settings(build_parser().parse_args(["--id", "ser-test", *map(str, arguments)]))


def test_options_win_over_the_file_and_relative_files_are_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.yaml"
    file.write_text("host: broker.lan\nroom: Living room\nuser: ser\npassword_file: secret\nca_file: ca.crt\n")
    (tmp_path / "secret").write_text("pass word\nsecond line\n")
    (tmp_path / "secret").chmod(0o600)
    read = settings("--config", file, "--room", "Bath")
    assert (read.host, read.room_name, read.address) == ("broker.lan", "Bath", ("broker.lan", 8883))
    assert read_password(read) == "pass word"
    assert read.file("ca.crt") == tmp_path / "ca.crt"


def test_systemd_credentials_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text("secret\n")
    (credentials / "mqtt-password").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    file = tmp_path / "mqtt.yaml"
    file.write_text("user: ser\npassword_file: mqtt-password\n")
    assert read_password(settings("--config", file)) == "secret"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hots: a", "'hots'.*host, port"),
        ("port: '1883'", "port is '1883'; expected a whole number"),
        ("port: true", "port is True"),
        ("port: 70000", "port is 70000; expected 1 to 65535"),
        ("tls: yes please", "tls is 'yes please'; expected true or false"),
        ("commands: [mute, explode]", "commands has 'explode'; expected some of mute"),
        ("commands: [1]", "expected a list"),
        ("password_file: p", "password_file but no user"),
        ("key: k", "key but no certificate"),
        ("room: '///'", "room is '///'"),
        ("id: 'a/b'", "id is 'a/b'"),
        ("topic_prefix: a/#", "topic_prefix is 'a/#'"),
        ("host: ''", "host is ''"),
        ("- a", "lines such as"),
        ("a: [", "line 1 is not YAML|line 2 is not YAML"),
        ("\x00", "is not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mqtt.yaml"
    file.write_text(text)
    options = build_parser().parse_args(["--config", str(file)])
    with pytest.raises(SerError) as error:
        read_settings(options)
    assert re.search(words, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "mode", "words"), [("\n", 0o600, "is empty"), ("secret", 0o644, "chmod 600"), (None, 0, "secret")]
)
def test_a_password_file_that_cannot_be_used(tmp_path: Path, content: str | None, mode: int, words: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises((SerError, OSError), match=words):
        read_password(settings("--user", "ser", "--password-file", file))


def test_a_missing_library_names_its_extra() -> None:
    code = "import sys; sys.modules['aiomqtt'] = None; from ser_bridges.mqtt.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "install the extra mqtt: pip install 'ser-daemon[mqtt]'." in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_password_on_the_command_line() -> None:
    with pytest.raises(SystemExit):
        settings("--password", "secret")


def test_topics_are_stable_and_name_room_and_machine(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    number = machine_id((tmp_path / "none", file))
    assert re.fullmatch("[0-9a-f]{12}", number)
    assert number not in file.read_text()
    assert machine_id((file,)) == number
    with pytest.raises(SerError, match="--id"):
        machine_id((tmp_path / "none",))
    topics = make_topics("ser-daemon", "homeassistant", "Living room", f"ser-{number}")
    assert topics.utterance == f"ser-daemon/living_room/ser-{number}/utterance"
    assert topics.config == f"homeassistant/device/ser-{number}/config"


@pytest.mark.parametrize(("room", "part"), [("Kitchen", "kitchen"), ("a/b+#", "a_b"), ("Küche", "küche")])
def test_a_room_becomes_a_part_of_a_topic(room: str, part: str) -> None:
    assert room_topic(room) == part


@pytest.mark.parametrize(
    ("name", "payload", "verb"),
    [
        ("mute", "ON", ("mute", {})),
        ("mute", "OFF\n", ("unmute", {})),
        ("hold", "", ("hold", {})),
        ("hold", "500", ("hold", {"ms": 500})),
        ("release", "anything", ("release", {})),
        ("reset-adaptation", "PRESS", ("reset-adaptation", {})),
    ],
)
def test_commands(name: str, payload: str, verb: tuple[str, dict[str, object]]) -> None:
    assert read_command(name, payload) == verb


@pytest.mark.parametrize(
    ("name", "payload"),
    [("mute", "on"), ("hold", "0"), ("hold", "-1"), ("hold", "1e3"), ("hold", "²"), ("hold", "9" * 99), ("label", "u")],
)
def test_commands_that_do_not_exist(name: str, payload: str) -> None:
    with pytest.raises(SerError):
        read_command(name, payload)


def test_the_examples_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/bridge-mqtt.md").read_text()
    examples = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    ours = [example for example in examples if "host" in example]
    automations = [each for example in examples for each in example.get("automation", ())]
    assert len(automations) >= 3
    assert all({"alias", "triggers", "actions"} <= set(each) for each in automations)
    assert len(ours) == 1
    file = tmp_path / "mqtt.yaml"
    file.write_text(yaml.safe_dump(ours[0]))
    assert settings("--config", file).room_name == "kitchen"
