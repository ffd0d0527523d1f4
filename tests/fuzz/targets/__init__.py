"""The targets, by area. Each module registers its targets when it is imported."""

from fuzz.targets import (
    audio,
    bridges,
    capture,
    config,
    gate,
    model,
    protocol,
    publisher,
    state,
    systemd,
    terminal,
    web,
)

__all__ = [
    "audio",
    "bridges",
    "capture",
    "config",
    "gate",
    "model",
    "protocol",
    "publisher",
    "state",
    "systemd",
    "terminal",
    "web",
]
