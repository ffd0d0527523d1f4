"""The protocol on the sockets: events, framing, requests, connections and the server."""

__all__ = [
    "acceptor",
    "connection",
    "encoding",
    "events",
    "framing",
    "line_writer",
    "peer_log",
    "peers",
    "places",
    "protocol",
    "publisher",
    "rate_limit",
    "requests",
    "server",
    "shared",
    "socket_folder",
    "sockets",
    "status",
    "systemd_sockets",
    "turns",
]
