"""Faults that the generators found, by number; `run.py --row N` counts the examples until each is found.

The numbers are those of the list of faults that this folder was written against; `README.md` says what each was.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, and what finds it."""

    target: str
    finding: str
    """Regular expression that the code of the finding matches."""
    what: str


ROWS = {
    "3": Row("flood", "flood not throttled", "blank lines bypass the rate limit"),
    "4": Row("handler", "answer over 32 KiB", "an unchecked id inside data is repeated six times as long"),
    "5": Row("server", "RecursionError|traceback logged", "nested data gives a traceback in the log"),
    "6": Row("server", "slot leaked", "a control verb that cannot be answered keeps its slot"),
    "8": Row(
        "model", "hangs|takes much memory|MemoryError|process killed", "a hostile model file hangs or takes all memory"
    ),
    "9": Row("metadata", "Error in metadata|accepted that --check refuses", "hostile metadata: traceback, or accepted"),
    "12": Row("mute", "mute fails open", "a mute state that cannot be read means listening"),
    "12b": Row("config-file", "configuration passed over", "a configuration that cannot be read is passed over"),
    "13": Row("mute", "hangs|MemoryError", "a mute state that is a FIFO or a device"),
    "15": Row("wav", "takes much memory|MemoryError", "a WAV header with a large rate and many channels"),
    "18a": Row(
        "config-file", "control character printed|more than one line printed", "escape sequences from a config file"
    ),
    "18b": Row("environment", "long text printed", "error messages without a bound"),
    "18c": Row("listen-fds", "Error in sockets", "LISTEN_FDS that is no number"),
    "18d": Row("watch", "control character printed", "escape sequences from a server"),
    "18e": Row(
        "profile", "control character printed|log of several lines", "escape sequences from a device's name in the log"
    ),
    "18f": Row("sentences", "control character printed|long text printed", "any sentence with any text in it"),
}
