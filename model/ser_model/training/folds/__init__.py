"""Cross-validation: who is held out where, the run folder, predictions and their evaluation."""

__all__ = [
    "crossval",
    "evaluate",
    "finished",
    "jobs",
    "predictions",
    "run_folder",
    "trainer",
]
