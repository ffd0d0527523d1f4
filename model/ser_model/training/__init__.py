"""Training, evaluation and export of the network. Needs the `train` extra."""

__all__ = [
    "calibration",
    "calibration_files",
    "commands",
    "data",
    "experiments",
    "files",
    "folds",
    "networks",
    "processes",
    "report",
    "scores",
]
