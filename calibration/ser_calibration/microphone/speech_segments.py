"""Find the speech in a recording with the daemon's gate, and choose the gate's noise margin for a room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechEnded, SpeechStarted

MARGINS_DB = (GateConfig().noise_margin_db, 15.0)
"""Lowest and highest margin to choose. The lowest is the gate's default; above the highest, soft word ends are lost
even close to the microphone."""

_ROOM_QUANTILE = 0.95
_KEPT_SHARE = 0.97
_STEP_DB = 1.0


@dataclass(frozen=True, slots=True)
class SpeechSegments:
    """The utterances that the gate finds in a recording."""

    utterances: tuple[tuple[int, int], ...]
    """First sample of each, and the sample after its last."""
    voiced_seconds: float
    """Voiced speech in all of them."""


def find_segments(
    samples: Samples,
    *,
    noise_floor_dbfs: float | None = None,
    gain_db: float | None = None,
    noise_margin_db: float = MARGINS_DB[0],
) -> SpeechSegments:
    """Return the utterances that a gate with these settings finds.

    Args:
        samples: int16, shape (n,), 16 kHz.
        noise_floor_dbfs: see `GateConfig`, also for the others; `None` lets the gate learn it.
    """
    gate = Gate(GateConfig(noise_floor_dbfs=noise_floor_dbfs, gain_db=gain_db, noise_margin_db=noise_margin_db))
    utterances: list[tuple[int, int]] = []
    onset, voiced = 0, 0
    for event in gate.push(Block(samples, 0)) + gate.finish():
        if isinstance(event, SpeechStarted):
            onset = event.onset
        elif isinstance(event, SpeechEnded):
            utterances.append((onset, event.offset))
            voiced += event.voiced
    return SpeechSegments(tuple(utterances), voiced / SAMPLE_RATE)


def pair_means(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of every two neighbouring levels: a single quiet or loud frame says little about the room."""
    return (levels[1:] + levels[:-1]) / 2


def choose_noise_margin(
    room_dbfs: npt.NDArray[np.float64], speech: Samples, floor_dbfs: float, gain_db: float
) -> float:
    """Return the margin in dB at which the gate ignores an unsteady room and still finds the speech.

    In a steady room it is the gate's default. If the room often rises further above its floor (a fan that comes and
    goes, rain, traffic), it is what 95 % of the room's levels stay below, in whole dB. It is lowered until the gate
    finds 97 % of the speech that it finds with the default.

    Args:
        room_dbfs: levels of the silence's frames.
        speech: as for `find_segments`.
        floor_dbfs: the noise floor.
        gain_db: start value of the detector's gain.
    """
    lowest, highest = MARGINS_DB
    wanted = float(np.ceil(np.quantile(pair_means(room_dbfs), _ROOM_QUANTILE) - floor_dbfs))
    margin = min(max(wanted, lowest), highest)
    if margin == lowest:
        return lowest
    whole = find_segments(speech, noise_floor_dbfs=floor_dbfs, gain_db=gain_db).voiced_seconds
    while margin > lowest:
        kept = find_segments(speech, noise_floor_dbfs=floor_dbfs, gain_db=gain_db, noise_margin_db=margin)
        if kept.voiced_seconds >= _KEPT_SHARE * whole:
            return margin
        margin -= _STEP_DB
    return lowest
