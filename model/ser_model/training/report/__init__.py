"""`ser-model report`: figures and plots of a run as one HTML page."""

__all__ = [
    "comparisons",
    "confidence",
    "figures",
    "inside",
    "network",
    "page",
    "pictures",
    "report",
]
