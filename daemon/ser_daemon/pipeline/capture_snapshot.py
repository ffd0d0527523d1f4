"""What other threads may know of the capture thread: a frozen copy of its values."""

from __future__ import annotations

from typing import NamedTuple, Self

from ser_daemon.pipeline.gate_stage import GateStage
from ser_daemon.pipeline.health import SourceHealth
from ser_daemon.pipeline.source_reader import SourceReader


class CaptureSnapshot(NamedTuple):
    """The capture thread's values at one moment."""

    device: str
    muted: bool
    held_until: float
    """End of the hold in seconds on the monotonic clock."""
    level_dbfs: float
    """Level of the last frame."""
    noise_floor_dbfs: float
    gain_db: float
    """Gain of the copy that the voice activity detector processes."""
    position: int
    """Position of the next sample."""
    clock_origin: float | None
    """Boot time in seconds of position 0; None before the first sample."""
    lost: int
    """Samples inserted for missing audio so far."""
    overflows: int
    """Blocks before which samples were lost so far."""
    reopened: int
    """Times that the device came back after a failure."""

    @classmethod
    def of(cls, reader: SourceReader, stage: GateStage, health: SourceHealth, muted: bool, held_until: float) -> Self:
        """Copy the present values; on the capture thread only."""
        return cls(
            device=reader.source.name,
            muted=muted,
            held_until=held_until,
            level_dbfs=stage.gate.level_dbfs,
            noise_floor_dbfs=stage.gate.noise_floor_dbfs,
            gain_db=stage.gate.gain_db,
            position=stage.clock.position,
            clock_origin=stage.clock.origin,
            lost=stage.clock.lost,
            overflows=health.overflows,
            reopened=reader.reopened,
        )
