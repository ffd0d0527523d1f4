"""Who may use ser-web: names, origins and tokens; and which requests are passed on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ser_bridges.web.access import host_allowed, make_token, origin_allowed, read_token, same_token
from ser_bridges.web.requests import BadRequest, read_request
from ser_model.errors import SerError

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8737", "127.0.0.1:8737", "192.168.1.7", "[::1]:8737", "kitchen.local:80"]
)
def test_addresses_and_known_names_are_ours(host: str) -> None:
    assert host_allowed(host, {"kitchen.local"})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8737", "", "a@localhost", "localhost/x", "[::1", "::1",
     "localhost:port", "127.0.0.1.nip.io", "kitchen.local.", "localhost:99999", "0x7f.1"],
)  # fmt: skip
def test_other_names_may_be_an_attackers(host: str) -> None:
    assert not host_allowed(host, {"kitchen.local"})


def test_only_our_own_page_is_of_our_origin() -> None:
    assert origin_allowed("http://127.0.0.1:8737", "127.0.0.1:8737")
    assert origin_allowed("https://Kitchen.local", "kitchen.local")
    for origin in ("null", "http://127.0.0.1:8738", "http://127.0.0.1", "http://evil.example", "file://", ""):
        assert not origin_allowed(origin, "127.0.0.1:8737")


def test_each_token_is_new_and_only_the_same_one_is_right() -> None:
    first, second = make_token(), make_token()
    assert same_token(first, first)
    for wrong in (second, "", first[:-1], first + "a", "ä", "\udcff"):
        assert not same_token(wrong, first)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_file_holds_a_token_in_its_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token(write(tmp_path / "token", f"{TOKEN}\nabout\n")) == TOKEN
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_token(write(tmp_path / "token", f"{TOKEN}\n", 0o440)) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601])
def test_a_token_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "token", TOKEN, mode)
    with pytest.raises(SerError, match=f"chmod 600 {path}"):
        read_token(path)


@pytest.mark.parametrize("text", ["", "\n0123456789abcdef", "short", "0123456789 abcdef", "0123456789abcdeß", "a" * 15])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SerError, match="is no token: expected 16 or more"):
        read_token(write(tmp_path / "token", text))


def test_what_is_no_token_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, word in ((tmp_path / "none", "No such file"), (tmp_path, "is not a file"), (tmp_path / "pipe", "not a")):
        with pytest.raises(SerError, match=word):
            read_token(path)


def test_a_request_is_passed_on_as_one_line_without_framing() -> None:
    text = json.dumps({"type": "status", "id": "a\n", "data": {"x": "ä"}, "data_length": 9, "payload_length": 9})
    assert read_request(text, read_only=False).line == '{"type":"status","id":"a\\n","data":{"x":"ä"}}'.encode()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad-line"), ("[]", "bad-line"), ("{}", "bad-line"), ('{"type":1}', "bad-line"), ("[" * 5000, "bad-line"),
        ('{"type":"mute","data":[1]}', "bad-line"), ('{"type":"mute","id":true}', "bad-id"),
        ('{"type":"mute","id":1.5}', "bad-id"), ('{"type":"mute","id":"' + "x" * 129 + '"}', "bad-id"),
        ('{"type":"label","data":{}}', "not-permitted"), ('{"type":"reset-adaptation"}', "not-permitted"),
        ('{"type":"taught"}', "not-permitted"), ('{"type":"reload"}', "not-permitted"),
    ],
)  # fmt: skip
def test_what_is_not_passed_on_gets_a_code(text: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(text, read_only=False)
    assert json.loads(caught.value.line)["data"]["code"] == code


def test_a_control_verb_takes_nothing_but_its_time() -> None:
    read = read_request('{"type":"hold","data":{"ms":500,"verb":"x","name":"x","id":1}}', read_only=False)
    assert read.data == {"ms": 500}
    for ms in ("true", "1.5", '"1"', "[]"):
        with pytest.raises(BadRequest, match="whole number"):
            read_request(f'{{"type":"hold","data":{{"ms":{ms}}}}}', read_only=False)


def test_brackets_of_any_depth_are_read_or_refused() -> None:
    for depth in (*range(900, 1000), 5_000):
        text = '{"type":"ping","data":{"text":' + "[" * depth + "]" * depth + "}}"
        try:
            line = read_request(text, read_only=False).line
        except BadRequest as error:
            line = error.line
        assert line == text.encode() or json.loads(line)["data"]["code"] == "bad-line"


@pytest.mark.parametrize("name", ["mute", "unmute", "hold", "release"])
def test_read_only_refuses_what_changes_something(name: str) -> None:
    assert read_request(json.dumps({"type": name, "id": 7}), read_only=False).name == name
    with pytest.raises(BadRequest, match="--read-only") as caught:
        read_request(json.dumps({"type": name, "id": 7}), read_only=True)
    assert json.loads(caught.value.line)["id"] == 7
    assert read_request('{"type":"status"}', read_only=True).name == "status"
