"""Measurements that a user makes of a microphone in its room."""

__all__ = [
    "assessment",
    "calibration",
    "defects",
    "level_meter",
    "measurement",
    "output",
    "page",
    "recording",
    "recording_session",
    "spectrum",
    "speech_segments",
    "terminal",
    "timing",
]
