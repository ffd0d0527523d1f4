"""The page about a microphone: its content, that it loads nothing, and where it can't be written."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_calibration.cli.main import main
from ser_calibration.microphone import calibration
from ser_calibration.microphone.assessment import Grade, format_report, grade, recommendations
from ser_calibration.microphone.defects import Dropouts
from ser_calibration.microphone.measurement import Measurement, measure
from ser_calibration.microphone.page import microphone_page, write_page
from ser_calibration.microphone.recording import Recordings
from ser_calibration.microphone.timing import Timing
from ser_daemon.config.loading import load_config
from ser_daemon.config.profiles import MicrophoneProfile, gate_with_profile, read_profile, write_profile
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE
from support.browser import PHONE, Browser
from support.speech import synthetic_speech

TIMING = Timing(
    reported_ms=43.0, seconds=25, lost_ms=0, overflows=0, rate_ppm=12.0, rate_error_ppm=9.0, late_ms=8.0, start_ms=300.0
)


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    room = np.random.default_rng(1).standard_normal(10 * SAMPLE_RATE) * 32
    return Recordings("USB Mic", np.round(room).astype(np.int16), synthetic_speech() // 2, TIMING)


@pytest.fixture(scope="module")
def measured(recordings: Recordings) -> Measurement:
    return measure(recordings.silence, recordings.speech)


def profile(device: str = "USB Mic", margin: float | None = 9.0) -> MicrophoneProfile:
    return MicrophoneProfile(
        device=device,
        measured="2026-11-22T08:44:01Z",
        noise_floor_dbfs=-60.0,
        gain_db=8.0,
        speech_level_dbfs=-30.0,
        snr_db=30.0,
        noise_margin_db=margin,
    )


def test_the_page_shows_every_picture_and_loads_nothing(recordings: Recordings, measured: Measurement) -> None:
    page = microphone_page(profile('<b>"Mic" & Co'), measured, recordings)
    assert "&lt;b&gt;&quot;Mic&quot; &amp; Co" in page
    assert "<b>" not in page
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture)
        assert "nan" not in picture
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert "default-src 'none'" in page
    assert "16000.2 samples a second for 16000 (+12 ± 9 ppm)" in page
    assert len(page) < 200_000


OVERLAPS = """[...document.querySelectorAll("svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const frame = svg.getBoundingClientRect();
  const cut = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
  const meet = texts.flatMap(([name, a], at) => texts.slice(at + 1).filter(([, b]) =>
    a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom
  ).map(([other]) => [name, other]));
  return [...cut.map(([name]) => [name]), ...meet];
})"""
"""Names of texts in plots that lie on each other, or are cut off."""


@pytest.mark.parametrize("levels", [(-60.0, -30.0), (-31.0, -30.0), (-20.0, -94.0), (-5.0, -4.0)])
def test_the_page_fits_a_telephone_and_no_words_meet(
    recordings: Recordings, measured: Measurement, tmp_path: Path, browser: Browser, levels: tuple[float, float]
) -> None:
    floor, speech = levels
    changed = replace(measured, noise_floor_dbfs=floor, speech_level_dbfs=speech)
    path = tmp_path / "page.html"
    path.write_text(
        microphone_page(profile("alsa_input.usb-Generic_USB_Audio_200901010001-00.HiFi"), changed, recordings)
    )
    for width in (PHONE, 1000):
        with browser.open(path.as_uri(), width=width, dark=width == PHONE) as page:
            assert (page.overflow(), page.errors) == ([], [])
            assert page.run(OVERLAPS) == []


def test_the_gates_decisions_stand_where_somebody_speaks(recordings: Recordings, measured: Measurement) -> None:
    silent, speaking = re.findall(r"<svg.*?</svg>", microphone_page(profile(), measured, recordings), re.DOTALL)[2:]
    assert "the gate takes this for speech" not in silent
    assert "the gate takes this for speech" in speaking


@pytest.mark.parametrize(
    ("changes", "phrase", "serious"),
    [
        ({"dropouts": Dropouts(3, 20.0)}, "3 holes of up to 20 ms", True),
        ({"low_share": 0.9, "noise_floor_dbfs": -45.0, "pause_dbfs": -46.0, "snr_db": 25.0}, "below 150 Hz", False),
        ({"treble_db": -60.0}, "Nothing is heard above 4 kHz", False),
        ({"clipped_share": 0.001, "longest_flat_top": 7}, "for up to 7 samples", False),
        ({"speech_level_dbfs": -50.0, "peak_dbfs": -35.0}, "in the mixer by 20 dB", False),
    ],
)
def test_each_defect_of_the_signal_has_its_remedy(
    measured: Measurement, changes: dict[str, object], phrase: str, serious: bool
) -> None:
    sound = replace(measured, noise_floor_dbfs=-60.0, snr_db=30.0, peak_dbfs=-10.0, pause_dbfs=-60.0)
    found = recommendations(replace(sound, **changes))  # type: ignore[arg-type]
    assert [phrase in item.text for item in found] == [True]
    assert found[0].serious is serious
    assert grade(found) is (Grade.INSUFFICIENT if serious else Grade.USABLE)


@pytest.mark.parametrize(
    ("changes", "phrase", "serious"),
    [
        ({"lost_ms": 40.0}, "Samples were lost (40 ms)", False),
        ({"lost_ms": 400.0, "overflows": 2}, "Samples were lost (400 ms, 2 overflows)", True),
        ({"rate_ppm": -2000.0}, "0.20 % too slow", False),
        ({"rate_ppm": 20_000.0}, "2.00 % too fast", True),
    ],
)
def test_a_device_with_bad_timing_is_reported(
    measured: Measurement, changes: dict[str, float], phrase: str, serious: bool
) -> None:
    sound = replace(measured, noise_floor_dbfs=-60.0, snr_db=30.0, peak_dbfs=-10.0, pause_dbfs=-60.0)
    assert recommendations(sound, TIMING) == []
    found = recommendations(sound, replace(TIMING, **changes))
    assert [phrase in item.text for item in found] == [True]
    assert found[0].serious is serious
    assert phrase in format_report(sound, replace(TIMING, **changes))


def test_the_reported_delay_is_distinguished_from_the_measured_one(measured: Measurement) -> None:
    both = "blocks up to 8 ms late; first audio 300 ms after opening"
    assert f"{both}; the sound system itself reports 43 ms\n" in format_report(measured, TIMING)
    assert f"{both}\n" in format_report(measured, replace(TIMING, reported_ms=None))


def test_the_margin_of_the_profile_is_the_gates_unless_it_was_configured(tmp_path: Path) -> None:
    write_profile(profile(), tmp_path / "p.yaml")
    gate, _ = gate_with_profile(load_config(environ={}, default_files=[]), "USB Mic", [tmp_path])
    assert gate.noise_margin_db == 9.0
    chosen = load_config(environ={"SER_GATE_NOISE_MARGIN_DB": "6"}, default_files=[])
    gate, _ = gate_with_profile(chosen, "USB Mic", [tmp_path])
    assert gate.noise_margin_db == 6.0


def test_a_profile_without_a_margin_leaves_the_configured_one(tmp_path: Path) -> None:
    write_profile(profile(margin=None), tmp_path / "p.yaml")
    assert read_profile(tmp_path / "p.yaml").noise_margin_db is None
    gate, _ = gate_with_profile(load_config(environ={}, default_files=[]), "USB Mic", [tmp_path])
    assert gate.noise_margin_db == load_config(environ={}, default_files=[]).gate.noise_margin_db


def test_a_pipe_among_the_profiles_does_not_hold_up_the_daemon(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    write_profile(profile(), tmp_path / "b.yaml")
    gate, notes = gate_with_profile(load_config(environ={}, default_files=[]), "USB Mic", [tmp_path])
    assert gate.gain_db == 8.0
    assert [note.text for note in notes] == [
        f"Microphone's profile ignored: {tmp_path / 'a.yaml'}: cannot read this file: it is a named pipe, no file",
        f"Microphone's profile used: {tmp_path / 'b.yaml'}",
    ]


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(SerError, match=r"taken.html: cannot write this page: Is a directory; .*\.$"):
        write_page(tmp_path / "taken.html", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]


def test_a_place_that_takes_no_file_is_reported_before_anybody_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    # If the device were opened first, the error would name the device.
    monkeypatch.setenv("ALSA_CONFIG_PATH", "/nonexistent")
    assert main(["mic", "--output", str(blocked / "p.yaml")]) == 2
    err = capsys.readouterr().err
    assert f"{blocked / 'p.yaml'}: cannot write this profile: " in err
    assert err.count("\n") == 1


def test_profile_and_page_are_written_side_by_side(
    tmp_path: Path, recordings: Recordings, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "silence.wav", recordings.silence, SAMPLE_RATE)
    soundfile.write(tmp_path / "speech.wav", recordings.speech, SAMPLE_RATE)
    command = ["mic", "--from", str(tmp_path / "silence.wav"), str(tmp_path / "speech.wav")]
    assert main([*command, "--output", str(tmp_path / "out" / "p.yaml")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p.html", "p.yaml"]
    assert f"Page with pictures: {tmp_path / 'out' / 'p.html'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "page"), [("p.yaml", "p.html"), ("p.yml", "p.html"), ("p", "p.html"), ("p.html", "p.html.html")]
)
def test_the_page_never_takes_the_profiles_place(name: str, page: str) -> None:
    assert calibration.page_path(Path("folder") / name) == Path("folder") / page
