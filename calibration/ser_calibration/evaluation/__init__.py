"""Measurements of a model: confidence, unknown, adaptation, smoothing, and the whole audio path."""

__all__ = [
    "ablations",
    "adaptation",
    "confidence",
    "gate_evaluation",
    "noise_hour",
    "ood",
    "paired_gains",
    "path",
    "reliability",
    "scaling",
    "scenarios",
    "selective",
    "smoothing",
    "temperatures",
    "unknown",
]
