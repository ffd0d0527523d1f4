"""Dropouts, spectra, timing and the noise margin, measured on signals with known results."""

from __future__ import annotations

import numpy as np
import pytest

from ser_calibration.microphone.defects import Dropouts, find_dropouts, full_scale_share, longest_flat_top
from ser_calibration.microphone.measurement import frame_levels, measure, noise_floor
from ser_calibration.microphone.spectrum import CENTRES, band_level, band_levels, low_share, power_density
from ser_calibration.microphone.speech_segments import choose_noise_margin, find_segments
from ser_calibration.microphone.timing import Timing, TimingMonitor
from ser_daemon.sources import Chunk
from ser_model.types import SAMPLE_RATE, Samples
from support.speech import synthetic_speech as spoken


def noise(level_dbfs: float, seconds: float = 6.0) -> Samples:
    wave = np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE))
    return np.round(wave * 32768 * 10 ** (level_dbfs / 20)).astype(np.int16)


def tone(hertz: float, level_dbfs: float, seconds: float = 4.0) -> Samples:
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    return np.round(wave * np.sqrt(2) * 32768 * 10 ** (level_dbfs / 20)).astype(np.int16)


@pytest.mark.parametrize("ms", [2, 20, 200])
def test_a_lost_fragment_is_a_dropout(ms: int) -> None:
    samples = noise(-40)
    samples[20_000 : 20_000 + 16 * ms] = 0
    samples[60_000:60_080] = 0
    found = find_dropouts(samples)
    assert found.count == 2
    assert found.longest_ms == pytest.approx(max(ms, 5), abs=0.2)


@pytest.mark.parametrize("kind", ["whole", "quiet room", "start", "end", "long mute", "fade", "short"])
def test_other_zeros_are_no_dropout(kind: str) -> None:
    samples = noise(-40)
    if kind == "quiet room":
        samples = noise(-93)
        samples[100:200] = 0
    elif kind == "start":
        samples[:1600] = 0
    elif kind == "end":
        samples[-1600:] = 0
    elif kind == "long mute":
        samples[20_000:30_000] = 0
    elif kind == "fade":
        # Noise suppression fades out within some 10 ms in a pause.
        samples[20_000:20_400] = samples[20_000:20_400] * np.linspace(1, 0, 400) ** 2
        samples[20_400:22_000] = 0
    elif kind == "short":
        samples[20_000:20_025] = 0
    assert find_dropouts(samples) == Dropouts(0, 0.0)


def test_synthetic_speech_with_digital_pauses_has_no_dropouts() -> None:
    assert find_dropouts(spoken()).count == 0


def test_full_scale_and_flat_tops_are_counted() -> None:
    samples = np.zeros(1000, np.int16)
    samples[10:15] = 32767
    samples[50] = -32768
    assert full_scale_share(samples) == pytest.approx(0.006)
    assert longest_flat_top(samples) == 5
    assert (longest_flat_top(samples[500:]), full_scale_share(samples[:0])) == (0, 0.0)


@pytest.mark.parametrize("hertz", [63.1, 1000.0, 5012.0])
def test_a_tone_stands_in_its_own_third_octave(hertz: float) -> None:
    levels = band_levels(tone(hertz, -20))
    at = int(np.argmin(np.abs(CENTRES - hertz)))
    assert levels[at] == pytest.approx(-20, abs=0.7)
    others = np.delete(levels, [index for index in (at - 1, at, at + 1) if 0 <= index < len(levels)])
    assert others.max() < -45


def test_the_spectrum_adds_up_to_the_level_without_the_shift() -> None:
    samples = noise(-30) + np.int16(1000)
    frequencies, power = power_density(samples)
    assert frequencies[-1] == SAMPLE_RATE / 2
    assert 10 * np.log10(power.sum()) == pytest.approx(-30, abs=0.2)
    assert band_level(samples, 2000, 4000) == pytest.approx(-30 + 10 * np.log10(0.25), abs=0.3)
    assert np.isfinite(band_levels(np.zeros(100, np.int16))).all()


def test_hum_is_distinguished_from_hiss() -> None:
    assert low_share(noise(-50)) < 0.05
    assert low_share(noise(-60) + tone(50, -40, 6)) > 0.9
    assert low_share(np.zeros(5000, np.int16)) == 0.0


def test_speech_over_a_telephone_lacks_its_treble() -> None:
    wide = measure(noise(-70), spoken() // 2)
    spectrum = np.fft.rfft(spoken() / 2.0)
    spectrum[round(len(spectrum) * 3500 / 8000) :] = 0
    narrow = measure(noise(-70), np.round(np.fft.irfft(spectrum, len(spoken()))).astype(np.int16))
    assert wide.treble_db > -40
    assert narrow.treble_db < -50


def test_a_steady_room_keeps_the_margin_and_an_unsteady_one_raises_it_without_losing_speech() -> None:
    speech, room = spoken() // 2, noise(-60, 10)
    assert measure(room, speech).noise_margin_db == 6.0
    swell = 1 + 2.5 * np.clip(np.sin(np.arange(len(room)) / SAMPLE_RATE * 2.5), 0, 1)
    gusty = np.round(room * swell).astype(np.int16)
    measured = measure(gusty, speech)
    assert 8 <= measured.noise_margin_db <= 12
    floor, gain = measured.noise_floor_dbfs, measured.gain_db
    kept, whole = (
        find_segments(speech, noise_floor_dbfs=floor, gain_db=gain, noise_margin_db=margin)
        for margin in (measured.noise_margin_db, 6.0)
    )
    assert kept.voiced_seconds >= 0.97 * whole.voiced_seconds


def test_soft_speech_is_not_given_up_for_a_firmer_gate() -> None:
    speech, room = (spoken() * 0.02).astype(np.int16) + noise(-60, len(spoken()) / SAMPLE_RATE), noise(-60, 10)
    levels = frame_levels(room) + np.linspace(0, 14, len(frame_levels(room)))
    floor = noise_floor(room)
    soft = choose_noise_margin(levels, speech, floor, 10.0)
    loud = choose_noise_margin(levels, spoken(), floor, 10.0)
    assert soft < loud


def timed(ppm: float, *, seconds: float = 25.0, jitter_ms: float = 5.0, lose_at: float | None = None) -> Timing:
    """Chunks of 160 ms of a device whose clock runs `ppm` too fast."""
    rng = np.random.default_rng(2)
    monitor = TimingMonitor(99.9)
    size, lost = 2560, 0.0
    for number in range(1, round(seconds / 0.16)):
        spoken_at = number * size / SAMPLE_RATE / (1 + 1e-6 * ppm)
        overflowed = lose_at is not None and not lost and spoken_at > lose_at
        lost = 0.5 if overflowed else lost
        arrival = 100.0 + spoken_at + lost + float(rng.uniform(0, jitter_ms)) / 1000
        monitor.push(Chunk(np.zeros(size, np.int16), arrival, overflowed))
    return monitor.timing()


@pytest.mark.parametrize("ppm", [-20_000.0, -300.0, 0.0, 80.0, 2000.0])
def test_the_true_rate_is_found(ppm: float) -> None:
    timing = timed(ppm)
    assert timing.rate_ppm == pytest.approx(ppm, abs=60)
    assert timing.rate_error_ppm < 60
    assert timing.late_ms == pytest.approx(5, abs=1)
    assert timing.start_ms == pytest.approx(260, abs=10)


def test_lost_samples_are_counted_and_leave_the_rate_open() -> None:
    timing = timed(0.0, lose_at=10.0)
    assert timing.lost_ms == pytest.approx(500, abs=10)
    assert timing.overflows == 1
    assert timing.rate_ppm is None


def test_a_short_recording_has_no_rate() -> None:
    assert timed(0.0, seconds=4.0).rate_ppm is None
    assert timed(0.0, seconds=0.5).late_ms == 0.0
