"""Measurements of a model: confidence, unknown, adaptation, smoothing, and the whole audio path."""

__all__ = [
    "ablations",
    "adaptation",
    "calibration_methods",
    "confidence",
    "gate_evaluation",
    "metrics",
    "noise_stream",
    "ood",
    "paired_gains",
    "path",
    "scenarios",
    "selective_classification",
    "smoothing",
    "temperatures",
    "unknown",
]
