"""`ser-daemon --check`: what works on this machine, and what to do where it does not."""

__all__ = [
    "check",
    "host_probes",
]
