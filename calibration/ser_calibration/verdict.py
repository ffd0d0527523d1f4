"""Say in words whether a microphone is good enough, and what to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ser_calibration.microphone import Measurement


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to improve."""

    serious: bool
    """Whether recognition suffers clearly."""
    text: str


_CHECKS: tuple[tuple[bool, Callable[[Measurement], bool], str], ...] = (
    (
        True,
        lambda m: m.snr_db < 10,
        "Speech hardly stands above the room: come closer to the microphone, or quieten the room.",
    ),
    (
        False,
        lambda m: 10 <= m.snr_db < 20,
        "Speech stands little above the room: half the distance to the microphone brings about 6 dB.",
    ),
    (
        False,
        lambda m: m.noise_floor_dbfs > -40,
        "The room is loud: look for fans, hum and open windows, or lower the microphone's gain.",
    ),
    (
        False,
        lambda m: m.speech_level_dbfs < -45,
        "Speech is very soft: raise the microphone's gain in the mixer.",
    ),
    (
        False,
        lambda m: m.peak_dbfs > -1.0,
        "The loudest moments reach full scale: lower the microphone's gain by 6 dB, or shouting is clipped.",
    ),
    (
        False,
        lambda m: m.clipped_share > 0.0005,
        "A few peaks are flat: the microphone or its amplifier is at its limit, lower its gain.",
    ),
    (
        False,
        lambda m: abs(m.dc_offset) > 0.005,
        "The signal is shifted (DC offset), which hides soft sounds: try another input or sound card.",
    ),
    (
        False,
        lambda m: m.pause_dbfs < m.noise_floor_dbfs - 10,
        "Pauses between words are much quieter than the silence recording: switch automatic gain control "
        "and noise suppression off, or record both in the same room.",
    ),
)
"""(serious, when, what to say); levels are rules of thumb for speech at one to three metres."""


def remarks(measured: Measurement) -> list[Remark]:
    """Return what should be improved, the serious first; empty: nothing."""
    found = [Remark(serious, text) for serious, applies, text in _CHECKS if applies(measured)]
    return sorted(found, key=lambda remark: not remark.serious)


def summary(measured: Measurement) -> str:
    """Return the figures and the verdict, as lines for a terminal."""
    found = remarks(measured)
    if any(remark.serious for remark in found):
        verdict = "Not good enough yet: expect missed speech and wrong emotions."
    elif found:
        verdict = "Usable; it can be better:"
    else:
        verdict = "Good."
    lines = [
        f"Noise floor   {measured.noise_floor_dbfs:6.1f} dBFS",
        f"Speech level  {measured.speech_level_dbfs:6.1f} dBFS   peak {measured.peak_dbfs:.1f} dBFS",
        f"Speech/noise  {measured.snr_db:6.1f} dB",
        f"Flat tops     {measured.clipped_share * 100:6.2f} %",
        f"DC offset     {measured.dc_offset * 100:6.2f} %",
        f"Detector gain {measured.gain_db:6.1f} dB",
        "",
        verdict,
        *(f"- {remark.text}" for remark in found),
    ]
    return "\n".join(lines)
