"""Cross-validation: the networks of a run, their training, their predictions and the evaluation of these."""

__all__ = [
    "crossval",
    "evaluate",
    "jobs",
    "metrics",
    "predictions",
    "run_folder",
    "run_results",
    "trainer",
]
