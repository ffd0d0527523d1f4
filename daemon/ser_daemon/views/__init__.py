"""What a person sees in a terminal: a live view or plain lines."""

__all__ = [
    "live",
    "text",
    "view",
]
