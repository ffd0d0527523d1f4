"""What `ser-daemon --demo` plays without a microphone, and what it says then."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from ser_daemon.cli import demo
from ser_daemon.cli.demo import bundled_recording, choose_source
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import DeviceError
from ser_model.audio.files import read_audio
from ser_model.audio.gate import Gate
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechEnded, SpeechStarted


@pytest.fixture(scope="module")
def samples() -> Samples:
    return read_audio(bundled_recording())


def listed_starts() -> list[float]:
    """Seconds at which the licence file says that a recording begins."""
    text = bundled_recording().with_name("LICENSE-demo.txt").read_text()
    rows = re.findall(r"^ *(\d+\.\d) s  \d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2} ", text, re.MULTILINE)
    return [float(start) for start in rows]


def test_the_recording_is_a_minute_at_most_and_small(samples: Samples) -> None:
    assert 40 < len(samples) / SAMPLE_RATE < 60
    assert bundled_recording().stat().st_size < 1_000_000


def test_each_of_the_twelve_recordings_is_one_utterance(samples: Samples) -> None:
    gate = Gate()
    events = gate.push(Block(samples, 0)) + gate.finish()
    onsets = [event.onset / SAMPLE_RATE for event in events if isinstance(event, SpeechStarted)]
    offsets = [event.offset / SAMPLE_RATE for event in events if isinstance(event, SpeechEnded)]
    extents = list(pairwise([*listed_starts(), len(samples) / SAMPLE_RATE]))
    assert len(onsets) == len(offsets) == len(extents) == 12
    for onset, offset, (begin, end) in zip(onsets, offsets, extents, strict=True):
        assert begin <= onset < offset < end


def test_there_is_no_digital_silence_in_the_pauses(samples: Samples) -> None:
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    assert np.abs(frames).max(axis=1).min() > 1


class Device:
    """A microphone that can be opened, or not."""

    error: DeviceError | None = None
    closed = False

    def open(self) -> None:
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


def test_without_a_microphone_the_recording_is_played_and_a_notice_says_who_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device()
    device.error = DeviceError("There is no capture device.")
    monkeypatch.setattr(demo, "make_source", lambda audio: device)
    audio, notice = choose_source(AudioConfig(device="default", channel=2, pace="fast"))
    assert (audio.device, audio.channel, audio.pace) == (f"file:{bundled_recording()}", None, "realtime")
    assert notice == (
        "No microphone can be used (There is no capture device): playing recordings of two people from CREMA-D instead."
    )


def test_a_microphone_that_can_be_opened_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    device, audio = Device(), AudioConfig(device="default")
    monkeypatch.setattr(demo, "make_source", lambda audio: device)
    assert choose_source(audio) == (audio, None)
    assert device.closed
