"""Test rig: a virtual sound server, and a real daemon that captures from it."""

__all__ = [
    "daemon_under_test",
    "virtual_sound",
]
