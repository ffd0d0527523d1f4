"""Teach a profile with a speaker's own examples."""

__all__ = [
    "assessment",
    "folder",
    "guide",
    "keyboard",
    "plausibility",
    "prompts",
    "teach",
    "utterances",
]
