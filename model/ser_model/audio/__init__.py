"""Samples: audio files, voice activity detectors, levels, and the gate that cuts out utterances."""

__all__ = [
    "files",
    "frame_classifier",
    "gate",
    "levels",
    "vad",
]
