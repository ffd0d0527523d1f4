"""What `ser-watch` does with events beside showing them: formats, commands, recordings."""

__all__ = [
    "event_command",
    "formats",
    "outputs",
    "recording",
    "replay",
    "replay_server",
    "session",
]
