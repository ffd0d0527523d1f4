"""`ser-watch`: shows the events of the daemon."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ser_daemon.client import AsyncClient, Client
from ser_daemon.client.wire import NotRunning, encode_filter
from ser_daemon.views.keys import Keyboard, LabelKeys
from ser_daemon.views.text import PlainView
from ser_daemon.views.view import View, make_view
from ser_model import console
from ser_model.errors import SerError

LEVEL_SECONDS = 0.125
"""Seconds between two requests for the level, which the event stream does not carry."""

_EPILOG = """\
examples:
  ser-watch                          live view of the daemon that is running
  ser-watch --finals --plain         one line per utterance
  ser-watch --json | jq -c .data     the raw event stream, one JSON object a line

Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's.
Waits for a daemon that isn't running and comes back when it was restarted. Ctrl-C ends it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 on an error, 128 + the number of a signal."""
    return console.run("ser-watch", lambda: _run(_parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> int:
    _exit_with_reader()
    partial = not options.finals
    try:
        if options.json:
            _print_json(Client(options.socket), encode_filter(None, partial, min_confidence=0.0))
        else:
            asyncio.run(_watch(AsyncClient(options.socket), plain=options.plain, partial=partial))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return 0


def _exit_with_reader() -> None:
    """Exit when the process that reads the output is gone (`| head -1`), also while there is nothing to write."""
    if not stat.S_ISFIFO(os.fstat(1).st_mode):
        return
    poll = select.poll()
    # No event is requested. POLLERR is always reported, and comes when the reading end is closed.
    poll.register(1, 0)

    def wait() -> None:
        poll.poll()
        # Every line was flushed, and a pipe is no terminal that would have to be restored.
        os._exit(0)

    threading.Thread(target=wait, name="reader", daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = console.ArgumentParser(
        prog="ser-watch",
        description="Show what ser-daemon hears: speech, and how it was said.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's socket")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the lines of JSON as they come from the socket")
    form.add_argument("--plain", action="store_true", help="print a line per event instead of the live view")
    parser.add_argument(
        "--finals",
        action="store_true",
        help="only the answer to each utterance as a whole",
    )
    return parser


class _LossReporter:
    """Reports the loss of the daemon once, however many attempts to connect again fail."""

    def __init__(self, view: View | None = None) -> None:
        """Report to a view; None: to stderr."""
        self._view = view if view is not None else PlainView(sys.stderr)
        self._lost = False

    def lost(self, error: SerError) -> None:
        """Report that the daemon can't be reached; the live view shows it until the next event."""
        if not self._lost:
            self._lost = True
            self._view.message(f"{error} Waiting for it." if isinstance(error, NotRunning) else str(error))

    def found(self) -> None:
        """Make the next loss count as a new one."""
        self._lost = False


def _print_json(client: Client, filter_: dict[str, object] | None) -> None:
    losses = _LossReporter()
    output = sys.stdout.buffer
    terminal = sys.stdout.isatty()
    for line in client.lines(filter_, reconnect=True, on_lost=losses.lost):
        losses.found()
        output.write((_escape_json(line) if terminal else line) + b"\n")
        output.flush()


def _escape_json(line: bytes) -> bytes:
    """Escape what a terminal would execute; the line is the same JSON as before."""
    if line.decode(errors="replace").isprintable():
        return line
    return json.dumps(json.loads(line), separators=(",", ":")).encode()


async def _watch(client: AsyncClient, *, plain: bool, partial: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Cancelled rather than killed, so that the terminal is restored.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    view = make_view(plain, sys.stdout, keys=Keyboard.is_available())
    live = not isinstance(view, PlainView)
    label_keys = LabelKeys(view.prompt, client.label)
    keyboard = Keyboard(label_keys.pressed)
    if live:
        keyboard.open()
    poll = asyncio.create_task(_poll_level(client, view)) if live else None
    losses = _LossReporter(view if live else None)
    try:
        async for event in client.subscribe(partial=partial, reconnect=True, on_lost=losses.lost):
            losses.found()
            label_keys.event(event)
            view.event(event)
    finally:
        keyboard.close()
        if poll is not None:
            poll.cancel()
        view.close()


async def _poll_level(client: AsyncClient, view: View) -> None:
    while True:
        level = noise_floor = None
        # Errors are reported by the stream, which has a connection of its own.
        with contextlib.suppress(SerError):
            status = await client.request("status")
            level, noise_floor = status.get("level_dbfs"), status.get("noise_floor_dbfs")
        view.level(level, noise_floor)
        await asyncio.sleep(LEVEL_SECONDS)
