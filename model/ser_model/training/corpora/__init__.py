"""Training on several corpora at once: what is learned from each recording, speaker folds, and corpora held out."""

__all__ = [
    "cross_corpus",
    "held_out",
    "recording_pool",
    "runner",
    "summary",
]
