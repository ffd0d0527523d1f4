"""`ser-web`: a page for people, and WebSocket and server-sent events for programs that speak HTTP."""
