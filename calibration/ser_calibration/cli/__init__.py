"""The command line `ser-calibrate`. Nothing imports this package."""

__all__ = [
    "arguments",
    "evaluation",
    "main",
    "microphone",
    "speaker",
]
