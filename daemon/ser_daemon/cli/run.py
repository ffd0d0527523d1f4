"""From a parsed command line to a running service: log, view, demonstration."""

from __future__ import annotations

import argparse
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

HELD_LINES = 20
"""Log lines kept while the live view has the terminal."""

_JOURNAL_LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class _JournalFormatter(logging.Formatter):
    """Puts the priority before the line, as sd-daemon(3) describes; the journal adds time and name itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_JOURNAL_LEVELS.get(record.levelno, 3)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class _HeldLog(logging.Handler):
    """Keeps the last lines until the terminal is free again."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=HELD_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def close(self) -> None:
        while self._lines:
            print(self._lines.popleft(), file=sys.stderr)
        super().close()


def serve(config: Config, options: argparse.Namespace, load: Callable[[], Config]) -> int:
    """Run the daemon as the command line says.

    Args:
        config: the configuration.
        options: the parsed command line.
        load: reads the configuration again.

    Returns:
        the exit status

    Raises:
        SerError: something that a person can put right.
    """
    faulthandler.enable()
    service = options.service or bool(os.environ.get("NOTIFY_SOCKET"))
    live = not service and not options.plain and can_draw(sys.stdout)
    handler = _set_up_log(config, service=service, live=live)
    notice = None
    if options.demo:
        from ser_daemon.cli import demo

        audio, notice = demo.choose(config.audio)
        config = replace(config, audio=audio)
        if notice is not None:
            print(notice, file=sys.stderr, flush=True)
    run_options = Options(
        service=service,
        make_view=None if service else lambda: make_view(options.plain, sys.stdout),
        notice=notice if live else None,
    )

    async def run() -> int:
        return await Service(config, run_options, load).run()

    try:
        return asyncio.run(run())
    finally:
        handler.close()


def _set_up_log(config: Config, *, service: bool, live: bool) -> logging.Handler:
    handler = _HeldLog() if live else logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM") and service:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    own = logging.getLogger("ser_daemon")
    own.setLevel(config.service.log_level.upper())
    if not service and config.service.log_level == "info":
        # A person who watches sees every state in the view; what is left to say is what went wrong.
        own.setLevel(logging.WARNING)
        logging.getLogger("ser_daemon.pipeline.state_reporter").setLevel(logging.ERROR)
    return handler
