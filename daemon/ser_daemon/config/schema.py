"""The sections of the configuration, their keys and what each key accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.keys import Key, Scalar, keys_of
from ser_model.config import DecisionConfig, GateConfig, Range

LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which network answers."""

    path: Path | None = None
    """Either file of an exported pair, the common beginning of both names, or `open`. `None` uses the bundled one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationConfig:
    """How answers adapt to this microphone and this voice."""

    running: bool = True
    """Adapt while running, and keep the result over a restart."""
    speaker: str | None = None
    """Name of a profile of `ser-calibrate speaker`. It is where `running` starts; without `running` it stays fixed."""
    corrections: bool = False
    """Take corrections of labels, and keep them as numbers over a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketConfig:
    """Where subscribers connect, and the limits of a connection."""

    path: Path | None = None
    """Event socket. `None` is the default place of the user or, as a service, of the system."""
    control_path: Path | None = None
    """Socket that also takes control verbs. `None` is `ser-control.sock` beside the event socket."""
    queue_size: Annotated[int, Range(16, 65_536, "events")] = 256
    """Events that may wait for one slow subscriber; beyond that it is disconnected."""
    max_clients: Annotated[int, Range(1, 4096, "connections")] = 256
    """Connections served at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """Settings of the process as a whole."""

    start_muted: bool = False
    """Start without opening the microphone, until `ser-ctl unmute`."""
    frame_deadline_seconds: Annotated[float, Range(0.5, 30, "seconds")] = 1.5
    """Time without any samples after which the device counts as lost."""
    silent_seconds: Annotated[float, Range(1, 3600, "seconds")] = 60.0
    """Time of digital zeros after which the audio state is `silent`."""
    state_directory: Path | None = None
    """Folder of what survives a restart, such as mute. `None` is the default place."""
    log_level: LogLevel = "info"
    """Least level of the lines that are logged."""
    core_dumps: bool = False
    """Allow core dumps of the process. They hold the last seconds of audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, and where each was set."""

    audio: AudioConfig = field(default_factory=AudioConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    socket: SocketConfig = field(default_factory=SocketConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    files: tuple[Path, ...] = field(default=(), compare=False)
    """Config files that were read, the strongest first."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Place of each key that was set: `FILE:LINE`, `environment NAME` or `command line`."""

    def value(self, name: str) -> Scalar:
        """Return the value of a key by its dotted name."""
        section, _, field = name.partition(".")
        value: Scalar = getattr(getattr(self, section), field)
        return value


SECTIONS: dict[str, type] = {
    "audio": AudioConfig,
    "gate": GateConfig,
    "model": ModelConfig,
    "decision": DecisionConfig,
    "adaptation": AdaptationConfig,
    "socket": SocketConfig,
    "service": ServiceConfig,
}


KEYS: dict[str, Key] = {
    name: key for section, cls in SECTIONS.items() for name, key in keys_of(cls, f"{section}.").items()
}
"""Every setting by its dotted name, in the order of `config.yaml`."""
