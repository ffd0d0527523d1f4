"""Feature extraction: 46 numbers a frame, cepstral and prosodic."""

__all__ = [
    "features",
    "prosody",
]
