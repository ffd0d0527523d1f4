"""Lines on the terminal that guide a person during a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ser_model.printable import printable

Report = Callable[[str, bool], None]
"""Shows a line: its text, and whether the next line may replace it."""


@contextlib.contextmanager
def progress_lines() -> Iterator[Report]:
    """Show lines on stderr. Replaceable lines appear on a terminal only, and the last one is removed at the end."""
    console = Console(stderr=True)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)

    def report(line: str, replaceable: bool) -> None:
        if replaceable:
            live.update(Text(printable(line), no_wrap=True, overflow="crop"), refresh=True)
        else:
            live.update(Text(), refresh=True)
            console.print(Text(printable(line)), soft_wrap=True)

    with live:
        yield report
