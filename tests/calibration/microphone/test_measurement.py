"""`ser-calibrate mic --from`: what is measured, recommended and rejected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_calibration.cli.main import main
from ser_calibration.microphone.assessment import Grade, format_report, grade, recommendations
from ser_calibration.microphone.defects import Dropouts, clipped_share
from ser_calibration.microphone.measurement import Measurement, frame_levels, measure
from ser_daemon.config.loading import load_config
from ser_daemon.config.profiles import gate_with_profile, read_profile
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples
from support.speech import synthetic_speech


def noise(level_dbfs: float, seconds: float = 6.0, seed: int = 1) -> Samples:
    """White noise of a known level."""
    wave = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    return np.round(wave * 32768 * 10 ** (level_dbfs / 20)).astype(np.int16)


def scaled(samples: Samples, db: float) -> Samples:
    return np.clip(np.round(samples * 10 ** (db / 20)), -32768, 32767).astype(np.int16)


@pytest.fixture(scope="session")
def spoken() -> Samples:
    """The synthetic recording, 6 dB below full scale."""
    return scaled(synthetic_speech(), -6)


def wav(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype)
    return path


def good() -> Measurement:
    return Measurement(
        noise_floor_dbfs=-60,
        speech_level_dbfs=-28,
        snr_db=32,
        gain_db=8,
        peak_dbfs=-10,
        noise_margin_db=6,
        clipped_share=0,
        longest_flat_top=0,
        full_scale_share=0,
        dc_offset=0,
        pause_dbfs=-60,
        dropouts=Dropouts(0, 0.0),
        low_share=0.2,
        treble_db=-20,
    )


@pytest.mark.parametrize("level", [-75.0, -60.0, -45.0])
def test_the_noise_floor_is_the_level_of_the_room(spoken: Samples, level: float) -> None:
    # The median of minima is a little below the mean level; so is the gate's own floor.
    assert measure(noise(level), spoken).noise_floor_dbfs == pytest.approx(level - 0.5, abs=1.0)


def test_a_passing_bang_and_a_start_with_zeros_do_not_move_the_noise_floor(spoken: Samples) -> None:
    room = noise(-60)
    disturbed = room.copy()
    disturbed[:1600] = 0
    disturbed[40_000:41_000] = noise(-20, 1)[:1000]
    calm = measure(room, spoken).noise_floor_dbfs
    assert measure(disturbed, spoken).noise_floor_dbfs == pytest.approx(calm, abs=0.5)


def test_ten_decibels_more_speech_are_ten_decibels_more_level_and_less_gain(spoken: Samples) -> None:
    room = noise(-75)
    soft, loud = measure(room, scaled(spoken, -20)), measure(room, scaled(spoken, -10))
    assert loud.speech_level_dbfs - soft.speech_level_dbfs == pytest.approx(10, abs=1)
    assert loud.snr_db - soft.snr_db == pytest.approx(10, abs=1)
    assert soft.gain_db - loud.gain_db == pytest.approx(10, abs=1)
    assert loud.peak_dbfs - soft.peak_dbfs == pytest.approx(10, abs=0.1)


def test_the_speech_level_leaves_pauses_out(spoken: Samples) -> None:
    room = noise(-70, 5)
    once = measure(room, spoken)
    paused = measure(room, np.concatenate([room, spoken, room]))
    assert paused.speech_level_dbfs == pytest.approx(once.speech_level_dbfs, abs=0.5)


def test_a_dc_offset_is_measured(spoken: Samples) -> None:
    shifted = noise(-60) + np.int16(655)
    assert measure(shifted, spoken).dc_offset == pytest.approx(0.02, abs=0.001)


@pytest.mark.parametrize("db", [6, 12, 20])
def test_flat_tops_are_distinguished_from_loud_speech(spoken: Samples, db: int) -> None:
    peak = int(np.abs(spoken.astype(np.int32)).max())
    full = spoken * (32767 / peak)
    assert clipped_share(full.astype(np.int16)) < 0.0002
    clipped = np.clip(full * 10 ** (db / 20), -32768, 32767)
    assert clipped_share(clipped.astype(np.int16)) > 0.001
    # A volume control behind the converter lowers the level of clipped speech.
    assert clipped_share((clipped / 4).astype(np.int16)) > 0.001


def test_incomplete_frames_are_left_out() -> None:
    assert frame_levels(np.zeros(1023, np.int16)).shape == (1,)
    assert frame_levels(np.full(512, 16384, np.int16)) == pytest.approx([-6.02], abs=0.01)


@pytest.mark.parametrize(
    ("silence", "speech", "message"),
    [
        ("room", "room", "The speech recording holds 0.0 s of speech, expected at least 1 s"),
        ("spoken", "spoken", "Somebody speaks in the silence recording (at "),
        ("short", "spoken", "The silence recording lasts 1.0 s, expected at least 2 s"),
        ("zeros", "spoken", "The silence recording holds nothing but zeros: unmute the microphone"),
        ("room", "clipped", "The speech recording is clipped ("),
        ("overload", "spoken", "The silence recording is clipped ("),
        ("room", "zeros", "it is nothing but zeros: unmute the microphone"),
        ("room", "room", "nothing in it stands out from the room (-60 dBFS)"),
        ("spoken", "room", "The two recordings are swapped"),
    ],
)
def test_unusable_recordings_are_rejected(spoken: Samples, silence: str, speech: str, message: str) -> None:
    recordings = {
        "room": noise(-60),
        "spoken": spoken,
        "short": noise(-60, 1),
        "zeros": np.zeros(5 * SAMPLE_RATE, np.int16),
        "clipped": scaled(spoken, 25),
        "overload": np.where(noise(-20) > 0, 32767, -32768).astype(np.int16),
    }
    with pytest.raises(SerError) as caught:
        measure(recordings[silence], recordings[speech])
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("changes", "phrase", "serious"),
    [
        ({"snr_db": 6.0}, "come closer", True),
        ({"snr_db": 15.0}, "half the distance", False),
        ({"noise_floor_dbfs": -35.0, "pause_dbfs": -36.0}, "The room is loud", False),
        ({"speech_level_dbfs": -50.0}, "raise the microphone's gain", False),
        ({"peak_dbfs": -0.2}, "lower the microphone's gain by 6 dB", False),
        ({"clipped_share": 0.001}, "peaks are flat", False),
        ({"dc_offset": -0.02}, "DC offset", False),
        ({"pause_dbfs": -80.0}, "automatic gain control", False),
    ],
)
def test_each_weakness_has_its_remedy(changes: dict[str, float], phrase: str, serious: bool) -> None:
    values = {name: getattr(good(), name) for name in Measurement.__slots__} | changes
    found = recommendations(Measurement(**values))
    assert [phrase in item.text for item in found] == [True]
    assert found[0].serious is serious
    assert grade(found) is (Grade.INSUFFICIENT if serious else Grade.USABLE)
    assert grade(found) in format_report(Measurement(**values))


def test_a_good_microphone_is_called_good() -> None:
    assert recommendations(good()) == []
    assert grade([]) is Grade.GOOD
    assert format_report(good()).splitlines()[-1] == "Good."


def test_the_command_writes_a_profile_that_the_daemon_uses(
    tmp_path: Path, spoken: Samples, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # Other rates, sample formats and channel counts, as recorders write them.
    stereo = np.repeat(spoken[:, None], 2, axis=1)
    silence = wav(tmp_path / "silence.wav", np.repeat(noise(-60), 3), 48_000, "PCM_24")
    speech = wav(tmp_path / "speech.wav", stereo)
    assert main(["mic", "--from", str(silence), str(speech), "--device", "USB Mic"]) == 0
    folder = tmp_path / "config" / "ser-daemon" / "profiles"
    out = capsys.readouterr().out
    assert f"Profile of 'USB Mic' written to {folder / 'usb-mic.yaml'}" in out
    profile = read_profile(folder / "usb-mic.yaml")
    assert profile.device == "USB Mic"
    gate, _ = gate_with_profile(load_config(environ={}, default_files=[]), "USB Mic", [folder])
    assert (gate.noise_floor_dbfs, gate.gain_db) == (profile.noise_floor_dbfs, profile.gain_db)


@pytest.mark.parametrize("content", [None, b"", b"RIFF not really a wave file", b"\0" * 1000])
def test_a_file_that_cannot_be_read_is_one_sentence_and_exit_code_2(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "silence.wav"
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "p.yaml"
    assert main(["mic", "--from", str(path), str(path), "--output", str(output)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ser-calibrate: ")
    assert str(path) in err
    assert err.count("\n") == 1
    assert not output.exists()


def test_a_rejected_recording_leaves_the_profile_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = wav(tmp_path / "room.wav", noise(-60))
    output = tmp_path / "p.yaml"
    output.write_text("as it was")
    assert main(["mic", "--from", str(room), str(room), "--output", str(output)]) == 2
    assert "expected at least 1 s" in capsys.readouterr().err
    assert output.read_text() == "as it was"


def test_live_measurement_needs_a_microphone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = wav(tmp_path / "room.wav", noise(-60))
    assert main(["mic", "--device", f"file:{room}"]) == 2
    assert "is no microphone: measure recordings with --from instead." in capsys.readouterr().err
