"""The running process: event loop, threads, signals, control verbs, supervision, metrics and systemd."""

__all__ = [
    "control",
    "engine",
    "metrics",
    "mute",
    "service",
    "supervisor",
    "systemd",
    "terminal_screen",
]
