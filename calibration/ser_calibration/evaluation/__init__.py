"""Measurements of a model: confidence, unknown, adaptation, smoothing, and the whole audio path."""

__all__ = [
    "ablations",
    "adaptation",
    "calibration_methods",
    "confidence",
    "confidence_report",
    "gate_evaluation",
    "metrics",
    "noise_stream",
    "ood",
    "paired_gains",
    "path",
    "run_data",
    "scenarios",
    "selective_classification",
    "smoothing",
    "temperatures",
    "unknown",
    "unknown_report",
]
