"""The command lines `ser-daemon`, `ser-watch` and `ser-ctl`. Nothing imports this package."""

__all__ = [
    "ctl",
    "daemon",
    "demo",
    "prometheus",
    "run",
    "watch",
]
