"""The daemon's status, as `status` and `hello` report it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ser_daemon.wire.events import Hello
from ser_daemon.wire.protocol import PROTOCOL, CaptureState
from ser_model.labels import LABELS
from ser_model.version import full_version


@dataclass(slots=True, kw_only=True)
class Status:
    """The state of the daemon at one moment."""

    version: str = field(default_factory=full_version)
    model: str = ""
    labels: tuple[str, ...] = LABELS
    state: CaptureState = CaptureState.STARTING
    reason: str | None = None
    """Why the state is what it is; None where the state says enough."""
    speaking: bool = False
    muted: bool = False
    held: bool = False
    device: str | None = None
    uptime_seconds: float = 0.0
    timestamp: int = 0
    """Position of the sample clock in ms."""
    level_dbfs: float | None = None
    """Level of the last frame; None while the daemon does not listen."""
    noise_floor_dbfs: float | None = None
    gain_db: float | None = None
    """Gain of the copy of the audio that the voice activity detector gets."""
    extra: dict[str, object] = field(default_factory=dict)
    """More fields for the answer to `status`."""

    def hello(self, seq: int = 0) -> Hello:
        """Return the greeting of a subscriber; `seq` is the number of the last event published."""
        return Hello(
            seq=seq,
            server=f"ser-daemon {self.version}",
            model=self.model,
            labels=self.labels,
            state=self.state,
            speaking=self.speaking,
            muted=self.muted,
            device=self.device,
        )

    def data(self, seq: int) -> dict[str, object]:
        """Return the data of the answer to `status`."""
        # Not asdict(), which copies every value, and takes as long as all the rest of an answer.
        data: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        for name in ("level_dbfs", "noise_floor_dbfs", "gain_db"):
            if data[name] is not None:
                data[name] = round(data[name], 1)
        data["uptime_seconds"] = round(data["uptime_seconds"], 1)
        return {"protocol": PROTOCOL, "seq": seq, **data, **self.extra}


_FIELDS = tuple(field.name for field in fields(Status) if field.name != "extra")
