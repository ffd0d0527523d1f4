"""The command line `ser-calibrate`. Nothing imports this package."""

__all__ = [
    "evaluation",
    "main",
    "microphone",
    "options",
    "speaker",
    "teach",
]
