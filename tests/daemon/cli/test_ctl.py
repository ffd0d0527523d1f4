"""`ser-ctl`, run in this process against a real server in a thread."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess

import pytest

from ser_daemon.cli.ctl import main
from ser_daemon.cli.ctl_requests import COMMANDS
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES
from ser_model.version import full_version


@pytest.fixture
def ctl(wire, capsys):
    """Runs ser-ctl and returns its exit status, stdout and stderr."""

    async def run(*arguments: str):
        code = await asyncio.to_thread(main, ["--socket", str(wire.path), *arguments])
        captured = capsys.readouterr()
        return code, captured.out.strip(), captured.err.strip()

    return run


async def test_status_as_text(wire, ctl):
    wire.status.level_dbfs, wire.status.noise_floor_dbfs, wire.status.uptime_seconds = -48.21, -61.0, 7384.0
    code, out, err = await ctl("status")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "state    listening on USB Mic, nobody speaks",
        "level    -48.2 dBFS, noise floor -61.0 dBFS",
        "model    reslstm-sa-h64",
        f"running  version {full_version()}, for 2 h 3 min",
        "events   0 published",
    ]


async def test_status_counts_what_was_taught(wire, ctl):
    wire.status.extra = {"adaptation": "taught", "taught": {"examples": 29, "profile": 24, "corrections": 5}}
    _, out, _ = await ctl("status")
    assert "reslstm-sa-h64, taught by 29 examples (24 of the profile, 5 corrections)" in out


async def test_status_gives_the_reason_for_a_missing_microphone(wire, ctl):
    wire.status.state, wire.status.reason = "no-device", "It was unplugged."
    _, out, _ = await ctl("status")
    assert "no microphone (USB Mic): It was unplugged" in out
    assert "level    unknown, noise floor unknown" in out


@pytest.mark.parametrize(
    ("arguments", "text", "called"),
    [
        (["mute"], "Muted: the microphone is closed.", "mute"),
        (["unmute"], "Unmuted: the microphone is open again.", "unmute"),
        (["hold", "3000"], "Held for 3 s.", ("hold", 3000)),
        (["hold"], "Held until `ser-ctl release`.", ("hold", None)),
    ],
)
async def test_control_verbs_are_carried_out_and_confirmed(wire, ctl, arguments, text, called):
    assert await ctl(*arguments) == (0, text, "")
    assert wire.control.calls == [called]


async def test_an_answer_with_a_text_is_printed(ctl):
    assert await ctl("reset-adaptation") == (0, "What was learnt is forgotten.", "")


async def test_a_correction_is_sent_and_confirmed(wire, ctl):
    assert await ctl("label", "last", "happy") == (0, "u-17 counts as happy.", "")
    assert wire.control.calls == [("label", "last", "happy")]
    code, out, err = await ctl("label", "u-3", "bored")
    assert (code, out) == (1, "")
    assert "label must be one of neutral, calm, happy" in err


async def test_what_was_taught_is_listed_and_exported(wire, ctl, tmp_path):
    _, out, _ = await ctl("taught")
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["profile", "none"],
        ["corrections", "2", "(happy", "1,", "sad", "1)"],
    ]
    assert out.splitlines()[2].endswith("  happy     u-17")
    code, out, _ = await ctl("taught", "--json")
    assert [one["label"] for one in json.loads(out)["examples"]] == ["sad", "happy"]
    path = tmp_path / "taught.json"
    assert await ctl("taught", "--export", str(path)) == (
        0,
        f"{path} holds 2 examples: numbers and labels, no audio.",
        "",
    )
    assert json.loads(path.read_text())["examples"] == json.loads(out)["examples"]
    assert path.stat().st_mode & 0o777 == 0o600
    code, out, err = await ctl("taught", "--export", str(path / "x"))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "can't be written" in err


async def test_socket_may_name_the_control_socket(wire, capsys):
    assert await asyncio.to_thread(main, ["mute", "--socket", str(wire.control_path)]) == 0
    assert wire.control.calls == ["mute"]


@pytest.mark.parametrize("position", ["before", "after"])
async def test_json_prints_the_answers_data(ctl, position):
    arguments = ["--json", "status"] if position == "before" else ["status", "--json"]
    code, out, _ = await ctl(*arguments)
    assert code == 0
    assert json.loads(out)["model"] == "reslstm-sa-h64"


async def test_the_filters_in_the_examples_find_something(ctl):
    if shutil.which("jq") is None:
        pytest.skip("no jq on this machine")
    lines = [line for _, _, examples in COMMANDS.values() for line, _ in examples if " | jq " in line]
    assert lines
    for line in lines:
        command, _, jq = line.partition(" | ")
        _, out, _ = await ctl(*shlex.split(command)[1:])
        done = subprocess.run(shlex.split(jq), input=out, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() not in ("", "null")


async def test_ping_metrics_and_describe(ctl):
    assert (await ctl("ping"))[:2] == (0, "The daemon answers.")
    assert "xruns" in (await ctl("metrics"))[1]
    assert (await ctl("describe"))[1].splitlines() == [
        f"ser-daemon {full_version()}, protocol 1",
        "model reslstm-sa-h64: neutral calm happy sad angry fearful disgust surprised",
    ]


async def test_a_refusal_is_one_sentence_and_exit_status_one(ctl):
    assert await ctl("reload") == (1, "", "ser-ctl: config.yaml:3: gate.engine must be silero or webrtc.")
    code, out, err = await ctl("hold", "0")
    assert (code, out) == (1, "")
    assert err.startswith("ser-ctl: ms must be")


def test_without_a_daemon_the_error_names_what_to_start(folder, capsys):
    assert main(["--socket", str(folder / "ser.sock"), "status"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ser-daemon --mic default" in error


@pytest.mark.parametrize("name", [*QUERIES, *CONTROL_VERBS])
def test_every_request_but_the_stream_is_a_command(folder, name, capsys):
    if name == "subscribe":
        with pytest.raises(SystemExit):
            main([name])
    else:
        arguments = ["last", "happy"] if name == "label" else []
        assert main(["--socket", str(folder / "ser.sock"), name, *arguments]) == 2
        assert "No daemon is running" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["sing"], ["hold", "soon"], ["status", "3"], ["label", "last"]])
def test_a_wrong_command_line_is_exit_status_two(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: ser-ctl" in capsys.readouterr().err
