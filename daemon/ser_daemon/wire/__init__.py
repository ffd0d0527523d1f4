"""The protocol on the sockets: events, framing, requests, connections and the server."""

__all__ = [
    "connection",
    "events",
    "framing",
    "line_writer",
    "protocol",
    "publisher",
    "rate_limit",
    "requests",
    "server",
    "sockets",
    "status",
]
