"""The settings: their dataclasses and, in one table, the unit, range and choices of every key.

Error messages are made from this table, so that what a message promises is what is checked.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ser_daemon.config.audio import PACES, RAW_FORMATS, AudioConfig
from ser_model.config import DecisionConfig, GateConfig

Scalar = str | int | float | bool | Path | None
"""What one key can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which network judges."""

    path: Path | None = None
    """Either file of an exported pair, or what both names begin with; None: the one in the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationConfig:
    """Whether answers follow this microphone and this voice."""

    running: bool = True
    """Learn from what is heard, and remember it over a restart."""
    speaker: str | None = None
    """Name of a profile of `ser-calibrate speaker` to begin with; without `running` used as it is; None: no profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketConfig:
    """Where subscribers connect, and what one of them may cost."""

    path: Path | None = None
    """Event socket; None: the default place of the user or, as a service, of the system."""
    control_path: Path | None = None
    """Socket that also takes control verbs; None: `ser-control.sock` beside the event socket."""
    queue_size: int = 256
    """Events that wait for one slow subscriber before it is cut off."""
    max_clients: int = 256
    """Connections served at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """How the process behaves as a whole."""

    start_muted: bool = False
    """Start without opening the microphone, until `ser-ctl unmute`."""
    frame_deadline_seconds: float = 1.5
    """Silence of the device (no samples at all) after which it counts as lost."""
    silent_seconds: float = 60.0
    """Digital zeros for this long put the audio state to `silent`."""
    state_directory: Path | None = None
    """Folder for what survives a restart (mute); None: the default place."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set, and where it was set."""

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
    """Where each key that is not built-in was set: `FILE:LINE`, `environment NAME`, `command line`."""


SECTIONS: dict[str, type] = {
    "audio": AudioConfig,
    "gate": GateConfig,
    "model": ModelConfig,
    "decision": DecisionConfig,
    "adaptation": AdaptationConfig,
    "socket": SocketConfig,
    "service": ServiceConfig,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must satisfy beyond its type; the bounds are inclusive."""

    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


RULES: dict[str, Rule] = {
    "audio.channel": Rule("counted from 1", 1, 64),
    "audio.latency_ms": Rule("milliseconds", 10, 2000),
    "audio.read_ms": Rule("milliseconds", 10, 1000),
    "audio.pace": Rule(choices=PACES),
    "audio.raw_rate": Rule("samples per second", 4000, 192_000),
    "audio.raw_channels": Rule("channels", 1, 64),
    "audio.raw_format": Rule(choices=RAW_FORMATS),
    "gate.engine": Rule(choices=("silero", "webrtc")),
    "gate.webrtc_mode": Rule("3 is the strictest", 0, 3),
    "gate.threshold": Rule("probability", 0, 1),
    "gate.pre_roll_ms": Rule("milliseconds", 0, 2000),
    "gate.hangover_ms": Rule("milliseconds", 100, 5000),
    "gate.min_speech_ms": Rule("milliseconds", 20, 2000),
    "gate.max_utterance_ms": Rule("milliseconds", 2000, 120_000),
    "gate.noise_margin_db": Rule("decibels", 0, 40),
    "gate.noise_floor_dbfs": Rule("decibels below full scale", -120, 0),
    "gate.gain_db": Rule("decibels", -10, 40),
    "decision.window_ms": Rule("milliseconds", 500, 10_000),
    "decision.update_ms": Rule("milliseconds", 100, 10_000),
    "decision.min_voiced_ms": Rule("milliseconds", 0, 5000),
    "decision.unknown_below": Rule("confidence", 0, 1),
    "decision.temperature": Rule("divisor of the logits", 0.05, 20),
    "decision.smoothing": Rule("weight of the previous answer", 0, 0.99),
    "decision.margin": Rule("of the scores", 0, 1),
    "socket.queue_size": Rule("events", 16, 65_536),
    "socket.max_clients": Rule("connections", 1, 4096),
    "service.frame_deadline_seconds": Rule("seconds", 0.5, 30),
    "service.silent_seconds": Rule("seconds", 1, 3600),
    "service.log_level": Rule(choices=("debug", "info", "warning", "error")),
}
"""By dotted key; a key that is not listed is checked for its type alone."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its name, its type and its rule."""

    name: str
    """Dotted: `section.field`."""
    kind: type
    """`str`, `int`, `float`, `bool` or `Path`."""
    optional: bool
    """Whether null is a value."""
    default: Scalar
    rule: Rule

    @property
    def expectation(self) -> str:
        """What is accepted, in words, for messages and documentation."""
        choices = ", ".join(self.rule.choices)
        text = f"one of {choices}" if choices else _KIND_WORDS[self.kind] + self._range()
        return f"{text}, or null" if self.optional else text

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return "SER_" + self.name.replace(".", "_").upper()

    def _range(self) -> str:
        rule = self.rule
        text = f" from {rule.low:g} to {rule.high:g}" if math.isfinite(rule.high) else ""
        return text + (f" ({rule.unit})" if rule.unit else "")


_KIND_WORDS: dict[type, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


def _keys_of(section: str, cls: type) -> dict[str, Key]:
    """Return the keys of one section, with types from its annotations."""
    hints = typing.get_type_hints(cls)
    defaults = cls()
    result = {}
    for item in fields(cls):
        name = f"{section}.{item.name}"
        hint = hints[item.name]
        members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        kinds = [member for member in members if member is not type(None)]
        result[name] = Key(
            name=name,
            kind=kinds[0],
            optional=len(members) > len(kinds),
            default=getattr(defaults, item.name),
            rule=RULES.get(name, Rule()),
        )
    return result


KEYS: dict[str, Key] = {name: key for section, cls in SECTIONS.items() for name, key in _keys_of(section, cls).items()}
"""Every setting by its dotted name, in the order of `config.yaml`."""
