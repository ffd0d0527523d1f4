"""Run the daemon from the command line: choose source and view, start the service."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from collections.abc import Callable
from dataclasses import replace

from ser_daemon.cli.log import set_up_log
from ser_daemon.config.loading import Config
from ser_daemon.service.core_dumps import forbid_core_dumps
from ser_daemon.service.service import Options, Service
from ser_daemon.views.keys import Keyboard
from ser_daemon.views.view import can_draw, make_view
from ser_model.printable import printable


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
    keys = live and Keyboard.is_available()
    if not config.service.core_dumps:
        forbid_core_dumps()
    handler = set_up_log(config, service=service, live=live)
    config, notice = _choose_source(config) if demo else (config, None)
    options = Options(
        service=service,
        make_view=None if service else lambda: make_view(plain, sys.stdout, keys=keys),
        live=live,
        keys=keys,
        notice=notice if live else None,
    )

    async def run() -> int:
        return await Service(config, options, load).run()

    code = 2
    try:
        code = asyncio.run(run())
    finally:
        handler.close()
        if not handler.drained:
            # The interpreter would wait for stderr, which nobody reads.
            os._exit(code)
    return code


def _choose_source(config: Config) -> tuple[Config, str | None]:
    """Return a configuration that plays the bundled recording where there is no microphone, and a sentence about it."""
    from ser_daemon.cli.demo import choose_source

    audio, notice = choose_source(config.audio)
    if notice is not None:
        print(printable(notice), file=sys.stderr, flush=True)
    return replace(config, audio=audio), notice
