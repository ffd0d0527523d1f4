"""The end of the daemon: why it ends, the signals that end it, and the steps, each of them bounded in time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import NoReturn

from ser_model.errors import SerError

log = logging.getLogger(__name__)

FINISH_SECONDS = 0.5
"""Time for the threads, beyond one read, to finish the open utterance."""

ABANDON_SECONDS = 0.3
"""Time for the final of an utterance whose capture thread hangs."""

JOIN_SECONDS = 0.2
"""Time for a thread between reporting its end and being gone."""

VIEW_SECONDS = 0.3
"""Time for the view to write what is queued and to restore the terminal."""

DRAIN_SECONDS = 0.2
"""Time for subscribers to read what is queued when a signal ends the daemon."""

DRAIN_AT_END_SECONDS = 1.0
"""The same at the end of a file, when nobody waits for the process to be gone."""

MARGIN_SECONDS = 1.0
"""Time beyond all the above after which the process ends in any case."""


class EndReason:
    """Whether and why the daemon ends; event loop only."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.error: SerError | None = None
        """An error for the user: the source cannot be read, for example."""
        self.exit_code = 0
        self.sentence: str | None = None
        """The reason that subscribers are told; None where a signal or the end of a file ends the daemon."""
        self.by_signal = False

    @property
    def is_complete(self) -> bool:
        """Whether the source has ended, and nothing else is the reason."""
        return not self.by_signal and self.error is None and self.exit_code == 0

    def finish(self) -> None:
        """End because the work is done."""
        self.requested.set()

    def refuse(self, error: SerError) -> None:
        """End with an error that the user can do something about."""
        self.error = self.error or error
        self.sentence = str(error)
        self.requested.set()

    def fail(self, sentence: str) -> None:
        """End with a failure, so that the service manager starts the daemon again."""
        self.sentence = f"{sentence} The daemon ends."
        self.exit_code = 1
        self.requested.set()

    def signalled(self, number: int) -> None:
        """End because of a signal; the second one ends the process at once, whatever hangs."""
        if self.by_signal:
            os._exit(128 + number)
        self.by_signal = True
        self.requested.set()

    def hang_up(self) -> None:
        """End because the terminal has gone, like a first Ctrl-C."""
        self.by_signal = True
        self.requested.set()

    @property
    def drain_seconds(self) -> float:
        """Time for subscribers to read what is queued."""
        return DRAIN_SECONDS if self.by_signal else DRAIN_AT_END_SECONDS


def restore_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Let a further Ctrl-C end the process at once, without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


def start_last_resort(patience: float) -> threading.Timer:
    """Start a timer that ends the process where the steps of the shutdown take longer than they may.

    Args:
        patience: seconds that the steps may take together.
    """
    timer = threading.Timer(patience + MARGIN_SECONDS, exit_hard, ["The end took too long."])
    timer.daemon = True
    timer.start()
    return timer


def exit_hard(sentence: str, code: int = 1) -> NoReturn:
    """End the process although threads hang: the interpreter would wait for them, or crash under them."""
    log.error("%s", sentence)
    # Not `logging.shutdown`: it also flushes stderr, which may block. The root's own handler closes in bounded time.
    for handler in logging.getLogger().handlers:
        handler.close()
    os._exit(code)
