"""Samples: audio files, voice activity detectors, levels, and the gate that cuts out utterances."""

__all__ = [
    "files",
    "gate",
    "levels",
    "vad",
]
