"""Calibration of a model on the answers of networks for corpora that they never heard."""

__all__ = [
    "adaptation",
    "answers",
    "calibrate",
    "fitting",
    "noise",
    "report",
]
