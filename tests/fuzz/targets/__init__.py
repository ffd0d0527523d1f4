"""The targets, by area. Each module registers its targets when it is imported."""

from fuzz.targets import audio, capture, config, gate, model, protocol, publisher, state, systemd, terminal

__all__ = ["audio", "capture", "config", "gate", "model", "protocol", "publisher", "state", "systemd", "terminal"]
