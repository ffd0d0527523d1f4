"""What the daemon has learned about the microphone and the voice, in memory and on disk."""

__all__ = [
    "files",
    "session",
]
