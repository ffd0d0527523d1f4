"""Installs the program as a service of the machine or of a user, and removes it.

Only the standard library is used: `make install-service` runs this package where nothing else is installed yet.
"""

__all__ = ["command", "layout", "service"]
