"""The command line `ser-model`. `ser-calibrate` shares its `options`; nothing else imports this package."""

__all__ = [
    "corpora",
    "experiments",
    "main",
    "options",
    "runs",
    "world",
]
