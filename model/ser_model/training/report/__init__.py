"""`ser-model report`: metrics and plots of a run as one HTML page."""

__all__ = [
    "activation_plots",
    "activations",
    "comparison_plots",
    "confidence_plots",
    "corpora_figures",
    "corpora_plots",
    "corpora_report",
    "page",
    "report",
    "result_plots",
    "sections",
]
