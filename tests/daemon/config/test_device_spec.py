"""The setting `audio.device` is parsed once, and any text has a meaning."""

from __future__ import annotations

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
