"""Assess a measured microphone: its grade, and what to improve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ser_calibration.microphone.measurement import Measurement
from ser_calibration.microphone.timing import Timing
from ser_daemon.pipeline.sample_clock import DRIFT


class Grade(StrEnum):
    """How good a microphone is; the value is the sentence that a person reads."""

    GOOD = "Good."
    USABLE = "Usable; it can be better:"
    INSUFFICIENT = "Not good enough yet: expect missed speech and wrong emotions."


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to improve."""

    serious: bool
    """Whether recognition suffers clearly."""
    text: str


_CHECKS: tuple[tuple[bool, Callable[[Measurement], bool], Callable[[Measurement], str]], ...] = (
    (
        True,
        lambda m: m.snr_db < 10,
        lambda m: "Speech hardly stands above the room: come closer to the microphone, or quieten the room.",
    ),
    (
        False,
        lambda m: 10 <= m.snr_db < 20,
        lambda m: "Speech stands little above the room: half the distance to the microphone brings about 6 dB.",
    ),
    (
        False,
        lambda m: m.noise_floor_dbfs > -40 and m.low_share < 0.8,
        lambda m: "The room is loud: look for fans, hum and open windows, or lower the microphone's gain.",
    ),
    (
        False,
        lambda m: m.noise_floor_dbfs > -50 and m.low_share >= 0.8,
        lambda m: (
            f"{m.low_share:.0%} of the noise lies below 150 Hz (hum, a fan, a table that shakes): try another "
            "cable or power supply, or put the microphone on something soft."
        ),
    ),
    (
        False,
        lambda m: m.speech_level_dbfs < -45,
        lambda m: (
            f"Speech is very soft: raise the microphone's gain in the mixer by {_missing_gain_db(m)} dB, "
            "or come closer."
        ),
    ),
    (
        False,
        lambda m: m.peak_dbfs > -1.0,
        lambda m: "The loudest moments reach full scale: lower the microphone's gain by 6 dB, or shouting is clipped.",
    ),
    (
        False,
        lambda m: m.clipped_share > 0.0005,
        lambda m: (
            f"A few peaks are flat, for up to {m.longest_flat_top} samples: the microphone or its amplifier is at its "
            "limit, lower its gain."
        ),
    ),
    (
        False,
        lambda m: abs(m.dc_offset) > 0.005,
        lambda m: "The signal is shifted (DC offset), which hides soft sounds: try another input or sound card.",
    ),
    (
        False,
        lambda m: m.pause_dbfs < m.noise_floor_dbfs - 10,
        lambda m: (
            "Pauses between words are much quieter than the silence recording: switch automatic gain control "
            "and noise suppression off, or record both in the same room."
        ),
    ),
    (
        True,
        lambda m: m.dropouts.count > 0,
        lambda m: (
            f"The sound has {m.dropouts.count} hole{'s' * (m.dropouts.count > 1)} "
            f"of up to {m.dropouts.longest_ms:.0f} ms: "
            "try another USB port or cable, or a longer audio.latency_ms, and end what keeps the machine busy."
        ),
    ),
    (
        False,
        lambda m: m.treble_db < -50,
        lambda m: (
            "Nothing is heard above 4 kHz, as over a telephone: a Bluetooth headset in call mode? Choose another "
            "microphone or profile in the sound server."
        ),
    ),
)
"""(serious, condition, text). Levels are rules of thumb for speech at one to three metres."""


def _missing_gain_db(measured: Measurement) -> int:
    """Return the gain that brings speech to -30 dBFS, or its peaks to -6 dBFS where these come first; at least 3."""
    return max(3, round(min(-30.0 - measured.speech_level_dbfs, -6.0 - measured.peak_dbfs)))


def recommendations(measured: Measurement, timing: Timing | None = None) -> list[Recommendation]:
    """Return what to improve, serious items first."""
    found = [Recommendation(serious, text(measured)) for serious, applies, text in _CHECKS if applies(measured)]
    found += _timing_recommendations(timing) if timing is not None else []
    return sorted(found, key=lambda item: not item.serious)


def _timing_recommendations(timing: Timing) -> list[Recommendation]:
    found = []
    if timing.lost_ms or timing.overflows:
        overflows = f", {timing.overflows} overflows" if timing.overflows else ""
        text = (
            f"Samples were lost ({timing.lost_ms:.0f} ms{overflows}): end what keeps the machine busy, use another USB "
            "port, or set a longer audio.latency_ms."
        )
        found.append(Recommendation(timing.lost_ms > 100, text))
    ppm = timing.rate_ppm
    if ppm is not None and abs(ppm) > 1e6 * DRIFT + 2 * timing.rate_error_ppm:
        word = "fast" if ppm > 0 else "slow"
        text = (
            f"The device's clock runs {abs(ppm) / 1e4:.2f} % too {word}: times drift, and the daemon may take it for "
            "lost samples; use the device through the sound server, or another one."
        )
        found.append(Recommendation(abs(ppm) > 10_000, text))
    return found


def grade(found: list[Recommendation]) -> Grade:
    """Return the grade that follows from the recommendations."""
    if any(item.serious for item in found):
        return Grade.INSUFFICIENT
    return Grade.USABLE if found else Grade.GOOD


def figures(measured: Measurement, timing: Timing | None = None) -> list[tuple[str, str]]:
    """Return names and values of what was measured, as a person reads them."""
    m = measured
    dropouts = f"{m.dropouts.count}, the longest {m.dropouts.longest_ms:.0f} ms" if m.dropouts.count else "none"
    flat_tops = f"{m.clipped_share:.2%} of the samples"
    if m.longest_flat_top:
        flat_tops += f", up to {m.longest_flat_top} in a row"
    found = [
        ("Noise floor", f"{m.noise_floor_dbfs:.1f} dBFS, {m.low_share:.0%} of it below 150 Hz"),
        ("Speech level", f"{m.speech_level_dbfs:.1f} dBFS, peak {m.peak_dbfs:.1f} dBFS"),
        ("Speech/noise", f"{m.snr_db:.1f} dB"),
        ("Flat tops", flat_tops),
        ("At full scale", f"{m.full_scale_share:.2%} of the samples"),
        ("Holes", dropouts),
        ("DC offset", f"{abs(m.dc_offset):.2%} of full scale"),
    ]
    if timing is not None:
        found += [
            (
                "Lost samples",
                f"{timing.lost_ms:.0f} ms in {timing.seconds:.0f} s, {timing.overflows} overflows reported",
            ),
            ("Clock", _format_clock(timing)),
            ("Delay", _format_delay(timing)),
        ]
    return [*found, ("For the gate", f"detector gain {m.gain_db:.1f} dB, noise margin {m.noise_margin_db:.0f} dB")]


def _format_clock(timing: Timing) -> str:
    if timing.rate_ppm is None:
        return "not measured: the recording is too short, or was interrupted"
    rate = 16_000 * (1 + 1e-6 * timing.rate_ppm)
    return f"{rate:.1f} samples a second for 16000 ({timing.rate_ppm:+.0f} ± {timing.rate_error_ppm:.0f} ppm)"


def _format_delay(timing: Timing) -> str:
    parts = [f"blocks up to {timing.late_ms:.0f} ms late", f"first audio {timing.start_ms:.0f} ms after opening"]
    if timing.reported_ms is not None:
        parts.append(f"the sound system itself reports {timing.reported_ms:.0f} ms")
    return "; ".join(parts)


def format_report(measured: Measurement, timing: Timing | None = None) -> str:
    """Return figures, grade and recommendations as lines for a terminal."""
    found = recommendations(measured, timing)
    lines = [f"{name:<14}{value}" for name, value in figures(measured, timing)]
    return "\n".join([*lines, "", grade(found), *(f"- {item.text}" for item in found)])
