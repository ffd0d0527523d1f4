"""The command line `ser-model`. Nothing imports this package."""

__all__ = [
    "experiments",
    "main",
    "options",
    "runs",
]
