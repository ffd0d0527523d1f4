"""The socket protocol: events, framing, requests, connections and the server."""

__all__ = [
    "connection",
    "events",
    "framing",
    "protocol",
    "publisher",
    "requests",
    "server",
    "sockets",
]
