"""Experiments on a finished run or with many networks, one module per command."""

__all__ = [
    "generalise",
    "long_speech",
    "paper",
    "reproduce",
    "robustness",
    "tune",
    "windows",
]
