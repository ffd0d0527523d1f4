"""The eight emotion labels, in the order of their RAVDESS codes."""

LABELS: tuple[str, ...] = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""RAVDESS codes 01 to 08 (Livingstone & Russo 2018); index in this tuple = code - 1."""

SHORT_LABELS: tuple[str, ...] = tuple(label[:4] for label in LABELS)
"""Headings of columns, so that a table of all labels fits a terminal of 80 columns."""

UNKNOWN = "unknown"
"""The label of a rejected answer; never a class of the network."""
