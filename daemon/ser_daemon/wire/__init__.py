"""The socket protocol: events, framing, requests, connections and the server."""

__all__ = [
    "connection",
    "events",
    "framing",
    "publisher",
    "requests",
    "server",
    "sockets",
]
