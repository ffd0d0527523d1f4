"""Experiments on a run or with many networks: one module for each command, and its parts."""

__all__ = [
    "generalise",
    "long_speech",
    "paper",
    "reproduce",
    "robustness",
    "robustness_tables",
    "tune",
    "windows",
    "world",
    "world_metrics",
    "world_tables",
]
