"""Adaptation of the answers to a microphone and a voice."""

__all__ = [
    "adaptation",
    "residual_fit",
    "speaker_offset",
    "taught_head",
]
