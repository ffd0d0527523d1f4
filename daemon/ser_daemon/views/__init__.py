"""Output for people: the live view, plain lines, and answers to requests as text."""

__all__ = [
    "answers",
    "keys",
    "live",
    "prometheus",
    "text",
    "utterances",
    "view",
]
