"""Adaptation of the answers to a microphone and a voice."""

__all__ = [
    "adaptation",
    "speaker_offset",
    "taught_head",
]
