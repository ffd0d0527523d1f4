"""Measurements that a user makes of a microphone in its room."""

__all__ = [
    "faults",
    "gating",
    "live",
    "measurement",
    "mic",
    "mic_page",
    "recording_session",
    "spectrum",
    "terminal",
    "timing",
    "verdict",
]
