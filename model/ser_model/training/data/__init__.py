"""Data for training: corpora, augmentation, the gate, and the feature frames of all recordings."""

__all__ = [
    "acoustic_conditions",
    "augment",
    "corpus",
    "corpus_folder",
    "corpus_frames",
    "dataset",
    "labelled_corpus",
    "noises",
    "segmentation",
    "speaker_folds",
    "windowing",
]
