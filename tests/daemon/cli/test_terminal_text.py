"""Names and settings reach terminal and log only as text, and a message is short whatever they are."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from ser_daemon.cli.log import JournalFormatter, LogFormatter
from support.commands import environment, run

EVIL = "\x1b]0;owned\x07\x1b[2J\r\u202e"
LONG = "A" * 20_000

CONFIGS = {
    "section": f'"{EVIL}": {{}}\n',
    "key": f'gate: {{"{EVIL}": 1}}\n',
    "value": f'gate: {{engine: "{EVIL}"}}\n',
    "long-section": f"{LONG}: {{}}\n",
    "long-key": f"gate: {{{LONG}: 1}}\n",
    "long-value": f"gate: {{engine: {LONG}}}\n",
    "long-number": f"gate: {{hangover_ms: {'9' * 20_000}}}\n",
    "long-quoted-number": f'gate: {{hangover_ms: "{LONG}"}}\n',
    "twice": f"gate: {{? {LONG} : 1, ? {LONG} : 2}}\n",
    "anchor": f"gate: *{LONG}\n",
    "tag": f"gate: !{LONG}! x\n",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_wrong_configuration_is_one_short_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.yaml"
    # YAML allows control characters only as escapes in quotes.
    path.write_text("".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in CONFIGS[kind]))
    ended = run("ser-daemon", "--config", str(path), "--mic", "stdin", "--socket", f"{tmp_path}/s")
    ended.assert_error("ser-daemon", str(path))
    assert ended.err.rstrip("\n").isprintable()
    assert len(ended.err) < 1_100


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ser-daemon", [EVIL]),
        ("ser-daemon", ["--mic", f"file:/{EVIL}"]),
        ("ser-daemon", ["--mic", EVIL.replace("\r", "")]),
        ("ser-daemon", ["--model", f"/{EVIL}"]),
        ("ser-daemon", ["--config", f"/{EVIL}"]),
        ("ser-daemon", ["--check", "--mic", f"file:/{EVIL}", "--model", f"/{EVIL}", "--socket", f"/{EVIL}/s"]),
        ("ser-ctl", ["--socket", f"/{EVIL}", "status"]),
        ("ser-ctl", [EVIL]),
        ("ser-ctl", ["status", f"--timeout={EVIL}"]),
        ("ser-watch", [EVIL]),
        ("ser-calibrate", [EVIL]),
        ("ser-calibrate", ["mic", "--from", f"/{EVIL}", f"/{EVIL}"]),
        ("ser-model", [EVIL]),
        ("ser-model", ["export", "--check", f"/{EVIL}"]),
    ],
)
def test_the_command_line_is_quoted_without_what_a_terminal_would_execute(name: str, arguments: list[str]) -> None:
    ended = run(name, *arguments, environ=environment(COLUMNS="200"))
    assert ended.code == 2
    for line in (ended.out + ended.err).splitlines():
        assert line.isprintable(), line
    assert "owned" in ended.out + ended.err


def test_environment_variables_are_quoted_too() -> None:
    ended = run("ser-daemon", environ=environment(**{f"SER_GATE_{EVIL}": "1", "SER_GATE_ENGINE": EVIL}))
    assert ended.code == 2
    assert ended.err.rstrip("\n").isprintable()


def record(text: str, *arguments: object, error: bool = False) -> logging.LogRecord:
    exc_info = None
    if error:
        try:
            raise ValueError(EVIL + "\n12:00:00 WARNING forged")
        except ValueError:
            exc_info = sys.exc_info()
    return logging.LogRecord("ser_daemon", logging.WARNING, "", 0, text, arguments, exc_info)


def test_a_log_line_cannot_be_forged_by_a_name() -> None:
    formatter = LogFormatter("%(levelname)s %(message)s")
    text = formatter.format(record("Audio state: %s", f"Mic{EVIL}\nWARNING forged"))
    assert text == "WARNING Audio state: Mic\\x1b]0;owned\\x07\\x1b[2J\\r\\u202e\n    WARNING forged"
    journal = JournalFormatter("%(message)s").format(record("Audio state: %s", "Mic\n<0>forged"))
    assert journal == "<4>Audio state: Mic\n<4>    <0>forged"


def test_a_log_line_is_bounded_and_a_traceback_stays_readable() -> None:
    assert len(LogFormatter("%(message)s").format(record("%s", "x\x1b" * 500_000))) <= 1_000
    lines = LogFormatter("%(message)s").format(record("failed", error=True)).split("\n")
    assert lines[0] == "failed"
    assert lines[1] == "    Traceback (most recent call last):"
    assert lines[-1].strip().startswith("12:00:00 WARNING forged")
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])


def test_the_name_of_a_device_is_listed_without_what_a_terminal_would_execute(tmp_path: Path) -> None:
    code = (
        "from ser_daemon.sources import probe, Device; import ser_daemon.sources as s; "
        f"probe.probe_sound_system = lambda: None; s.list_devices = lambda: [Device(0, {EVIL!r}, 1, 1.0, 'x', True)]"
    )
    ended = run("ser-daemon", "--list-devices", before=code)
    assert ended.code == 0
    assert r"\x1b]0;owned\x07\x1b[2J\r\u202e" in ended.out
    assert all(line.isprintable() for line in ended.out.splitlines())
