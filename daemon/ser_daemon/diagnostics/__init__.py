"""`ser-daemon --check`: checks of this machine, with advice for what does not work."""

__all__ = [
    "check",
    "host_probes",
]
