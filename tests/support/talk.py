"""The recording of an event stream that comes with the examples: a daemon heard three utterances."""

from __future__ import annotations

from pathlib import Path

from ser_daemon.watch.recording import Entry, Recording

TALK = Path(__file__).resolve().parents[2] / "examples" / "talk.ndjson"

FINALS = ["unknown", "angry", "unknown"]
"""Labels of the final results."""


def entries(path: Path = TALK) -> list[Entry]:
    """All lines of a recording."""
    return list(Recording(path).entries())
