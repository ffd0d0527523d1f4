"""Measurements that a user makes of a speaker's voice."""

__all__ = [
    "enrolment",
    "profile",
    "recording",
]
