"""Feature extraction: 46 cepstral and prosodic features per frame."""

__all__ = [
    "features",
    "prosody",
]
