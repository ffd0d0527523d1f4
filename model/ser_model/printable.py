"""Text from elsewhere for terminals and logs: names of files and devices, settings, answers of a server.

A terminal executes escape sequences, a line break in a name could pass for a line of the log, and a text may be of any
length. Commands print with `ser_model.console`, the log is formatted by `ser_daemon.cli.log`, and views use this module
directly.
"""

from __future__ import annotations

LONGEST_LINE = 1_000
"""Characters of a line that are shown. A sentence with a path and the names of some devices is shorter."""

LONGEST_REPORT = 20_000
"""Characters of several lines that are shown, such as the stack of a thread."""

_GAP = " [...] "
_TAIL = 200
"""Characters kept at the end, where a message says what to do."""


def printable(text: str, most: int = LONGEST_LINE) -> str:
    r"""Return one line that a terminal only shows: other characters are escaped as in Python, its middle is cut out.

    Args:
        text: Any text.
        most: Characters of the result at most; 300 or more.

    Examples:
        >>> print(printable("USB\x1b[2J Mic\n"))
        USB\x1b[2J Mic\n
    """
    # Cut before as well, so that the work does not depend on the length of the text.
    text = _cut(text, most)
    if text.isprintable():
        return text
    return _cut("".join(map(_escape, text)), most)


def printable_lines(text: str, most: int = LONGEST_REPORT) -> str:
    """Do as `printable` does for each line of a text, and keep the line breaks."""
    return "\n".join(printable(line) for line in _cut(text, most).split("\n"))


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[: most - _TAIL - len(_GAP)] + _GAP + text[-_TAIL:]


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
