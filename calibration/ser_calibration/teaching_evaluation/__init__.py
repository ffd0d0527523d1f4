"""What a speaker's own examples are worth to speakers whom networks never heard: `ser-calibrate teaching`."""

__all__ = [
    "conditions",
    "draws",
    "gains",
    "listeners",
    "lives",
    "report",
    "scenarios",
    "settings",
    "teaching",
]
