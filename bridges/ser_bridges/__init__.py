"""Bridges: processes of their own that take the daemon's events to other programs, and their commands back.

Each bridge is a sub-package with its own command and its own optional library (an extra of the package). They use
the daemon as any other program does: through `ser_daemon.client`.
"""
