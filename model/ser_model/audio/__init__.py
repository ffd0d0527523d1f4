"""Audio before the features: files, levels, voice activity detection, and the gate."""

__all__ = [
    "files",
    "frame_classifier",
    "gate",
    "late_detector",
    "levels",
    "vad",
]
