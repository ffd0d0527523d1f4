"""What the gate makes of a recording, and how firm it should be in this room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechEnded, SpeechStarted

MARGINS_DB = (GateConfig().noise_margin_db, 15.0)
"""Least and greatest margin that is chosen. The least is the gate's default; beyond the greatest, soft word ends
disappear even from close by."""

_ROOM_QUANTILE = 0.95
_KEPT_SHARE = 0.97
_STEP_DB = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The utterances that the gate cuts out of a recording."""

    spans: tuple[tuple[int, int], ...]
    """(first sample, sample after the last) of each."""
    voiced_seconds: float
    """Speech in them."""


def hear(
    samples: Samples,
    *,
    noise_floor_dbfs: float | None = None,
    gain_db: float | None = None,
    noise_margin_db: float = MARGINS_DB[0],
) -> Heard:
    """Return what the gate hears when it starts with these values, None: with what it learns.

    Args:
        samples: int16, shape (n,), 16 kHz.
        noise_floor_dbfs: see `GateConfig`, as the others.
    """
    config = GateConfig(noise_floor_dbfs=noise_floor_dbfs, gain_db=gain_db, noise_margin_db=noise_margin_db)
    gate = Gate(config)
    spans: list[tuple[int, int]] = []
    onset, voiced = 0, 0
    for event in gate.push(Block(samples, 0)) + gate.finish():
        if isinstance(event, SpeechStarted):
            onset = event.onset
        elif isinstance(event, SpeechEnded):
            spans.append((onset, event.offset))
            voiced += event.voiced
    return Heard(tuple(spans), voiced / SAMPLE_RATE)


def pairs(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of neighbours: one frame that happens to be quiet, or loud, is not the room."""
    return (levels[1:] + levels[:-1]) / 2


def choose_margin(room_dbfs: npt.NDArray[np.float64], speech: Samples, floor_dbfs: float, gain_db: float) -> float:
    """Return the margin in dB that keeps an unsteady room from passing for speech, as far as no speech is lost.

    In a steady room that is the gate's default. Where the room itself often rises further above its floor (a fan
    that comes and goes, rain, traffic), it is what 95 % of the room's levels stay below, in whole dB; but never more
    than leaves in 97 % of the speech that the default would hear.

    Args:
        room_dbfs: levels of the silence's frames.
        speech: as for `hear`.
        floor_dbfs: the noise floor.
        gain_db: what the gate's detector starts from.
    """
    least, greatest = MARGINS_DB
    wanted = float(np.ceil(np.quantile(pairs(room_dbfs), _ROOM_QUANTILE) - floor_dbfs))
    margin = min(max(wanted, least), greatest)
    if margin == least:
        return least
    whole = hear(speech, noise_floor_dbfs=floor_dbfs, gain_db=gain_db).voiced_seconds
    while margin > least:
        heard = hear(speech, noise_floor_dbfs=floor_dbfs, gain_db=gain_db, noise_margin_db=margin)
        if heard.voiced_seconds >= _KEPT_SHARE * whole:
            return margin
        margin -= _STEP_DB
    return least
