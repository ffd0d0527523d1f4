"""From recordings to feature frames: corpora, the gate, augmentation, noises and conditions."""

__all__ = [
    "augment",
    "conditions",
    "corpus",
    "cutting",
    "dataset",
    "noises",
]
