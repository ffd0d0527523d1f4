"""The path of an audio block: capture thread, gate, speech queue, inference thread, wire events."""

__all__ = [
    "capture",
    "gate_stage",
    "health",
    "inbox",
    "inference",
    "sample_clock",
    "speech_queue",
    "state_reporter",
    "threads",
]
