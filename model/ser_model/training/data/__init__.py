"""Data for training: the corpus, augmentation, the gate, and the feature frames of all recordings."""

__all__ = [
    "acoustic_conditions",
    "augment",
    "corpus",
    "dataset",
    "noises",
    "segmentation",
    "windowing",
]
