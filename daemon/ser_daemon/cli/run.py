"""Run the daemon from the command line: set up the log and the view, choose the source, start the service."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ser_daemon.config.loading import Config
from ser_daemon.service.service import Options, Service
from ser_daemon.views.view import can_draw, make_view

DEFERRED_LINES = 20
"""Most log lines that are kept while the live view uses the terminal."""

_JOURNAL_LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class _JournalFormatter(logging.Formatter):
    """Prefixes lines with their priority (sd-daemon(3)). The journal adds time and name itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_JOURNAL_LEVELS.get(record.levelno, 3)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class _DeferredHandler(logging.Handler):
    """Keeps the last lines, and prints them when it is closed: the live view has ended by then."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=DEFERRED_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def close(self) -> None:
        while self._lines:
            print(self._lines.popleft(), file=sys.stderr)
        super().close()


def run_daemon(config: Config, load: Callable[[], Config], *, service: bool, plain: bool, demo: bool) -> int:
    """Run the daemon until it ends.

    Args:
        config: The configuration.
        load: Reads the configuration again, for a reload.
        service: Run as a service: no view, and wait for a missing device. Always so under systemd.
        plain: Print lines also in a terminal, instead of the live view.
        demo: Play the bundled recording if no microphone can be used.

    Returns:
        The exit status.

    Raises:
        SerError: The user can correct what is wrong.
    """
    faulthandler.enable()
    service = service or bool(os.environ.get("NOTIFY_SOCKET"))
    live = not service and not plain and can_draw(sys.stdout)
    handler = _set_up_log(config, service=service, live=live)
    notice = None
    if demo:
        from ser_daemon.cli.demo import choose_source

        audio, notice = choose_source(config.audio)
        config = replace(config, audio=audio)
        if notice is not None:
            print(notice, file=sys.stderr, flush=True)
    options = Options(
        service=service,
        make_view=None if service else lambda: make_view(plain, sys.stdout),
        notice=notice if live else None,
    )

    async def run() -> int:
        return await Service(config, options, load).run()

    try:
        return asyncio.run(run())
    finally:
        handler.close()


def _set_up_log(config: Config, *, service: bool, live: bool) -> logging.Handler:
    handler = _DeferredHandler() if live else logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM") and service:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    own = logging.getLogger("ser_daemon")
    own.setLevel(config.service.log_level.upper())
    if not service and config.service.log_level == "info":
        # The view shows every state, so only problems are logged.
        own.setLevel(logging.WARNING)
        logging.getLogger("ser_daemon.pipeline.state_reporter").setLevel(logging.ERROR)
    return handler
