"""The setting `audio.device` is parsed once, and any text has a meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import (
    AudioFile,
    DefaultDevice,
    DeviceIndex,
    DeviceName,
    DeviceSpec,
    StandardInput,
    WyomingService,
    meant_file,
    parse_device,
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("default", DefaultDevice()),
        ("stdin", StandardInput()),
        ("file:~/a b.wav", AudioFile("~/a b.wav")),
        ("file:", AudioFile("")),
        ("wyoming:tcp://hall.local:10600", WyomingService("tcp://hall.local:10600")),
        ("wyoming:", WyomingService("")),
        ("Wyoming:x", DeviceName("Wyoming:x")),
        ("0", DeviceIndex(0)),
        ("12", DeviceIndex(12)),
        ("USB", DeviceName("USB")),
        ("hw:1,0", DeviceName("hw:1,0")),
        ("File:a.wav", DeviceName("File:a.wav")),
        ("Default", DeviceName("Default")),
        ("-1", DeviceName("-1")),
        ("²", DeviceName("²")),
        ("9" * 5000, DeviceName("9" * 5000)),
        ("", DeviceName("")),
    ],
)
def test_each_kind_of_specification_is_recognized_and_written_back_as_it_was(text: str, spec: DeviceSpec) -> None:
    assert parse_device(text) == AudioConfig(device=text).device_spec == spec
    assert str(spec) == text


@pytest.mark.parametrize("text", ["/home/a/b.wav", "speech.FLAC", "~/talk.m4a", "a.webm"])
def test_the_path_of_a_recording_is_taken_for_a_file_that_was_meant(text: str) -> None:
    assert meant_file(text) == f"file:{text}"


def test_a_path_without_a_known_ending_is_one_if_the_file_exists(tmp_path: Path) -> None:
    assert meant_file(f"{tmp_path}/talk") is None
    (tmp_path / "talk").touch()
    assert meant_file(f"{tmp_path}/talk") == f"file:{tmp_path}/talk"


@pytest.mark.parametrize(
    "text",
    ["default", "stdin", "3", "file:a.wav", "wyoming:tcp://a.wav", "USB", "hw:1,0", "~none/a", "a/\0", "x" * 9000],
)
def test_a_device_is_not_taken_for_a_file(text: str) -> None:
    assert meant_file(text) is None
