"""One run of `ser-watch`: from the daemon or a recording to the output, a recording, a command and a socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.client import AsyncClient
from ser_daemon.client.wire import decode, encode_filter
from ser_daemon.watch.event_command import LIMIT_SECONDS, EventCommand
from ser_daemon.watch.outputs import Form, LinesOutput, LossReporter, NoOutput, Output, ViewOutput
from ser_daemon.watch.recording import Recorder
from ser_daemon.watch.replay import replay
from ser_daemon.watch.replay_server import ReplayServer
from ser_daemon.wire.events import PUBLISHED, Event
from ser_daemon.wire.publisher import Filter
from ser_model.console import report_error
from ser_model.errors import SerError

Line = tuple[bytes, Event | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    socket: Path | None = None
    """The daemon's socket; None: the usual ones."""
    form: Form | None = None
    """None: a view, but nothing where the events go to a command or a socket."""
    events: tuple[str, ...] | None = None
    partial: bool = True
    min_confidence: float = 0.0
    command: list[str] | None = None
    """Run for each event."""
    command_seconds: float = LIMIT_SECONDS
    record: Path | None = None
    replay: Path | None = None
    fast: bool = False
    serve: Path | None = None

    @property
    def filter(self) -> Filter:
        """The filter of a recording."""
        return Filter(self.events or PUBLISHED, self.partial, self.min_confidence)


async def watch(options: Options) -> int:
    """Watch until the recording is over, or for ever.

    Returns:
        0, or 1 if the command failed for an event

    Raises:
        SerError: the daemon refuses, a file cannot be used, or a socket cannot be made.
        asyncio.CancelledError: SIGTERM or Ctrl-C.
    """
    task = asyncio.current_task()
    assert task is not None
    # Cancelled rather than killed, so that the terminal is restored.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if options.record is not None and options.replay is not None and _is_same(options.record, options.replay):
        raise SerError(f"{options.record} cannot be recorded to while it is played; name another file.")
    recorder = None if options.record is None else Recorder(options.record)
    try:
        return await _Session(options, recorder).run()
    finally:
        if recorder is not None:
            recorder.close()


class _Session:
    """Where the lines of one run go."""

    def __init__(self, options: Options, recorder: Recorder | None) -> None:
        self._options = options
        self._recorder = recorder
        self._server = None if options.serve is None else ReplayServer(options.serve)
        self._command: EventCommand | None = None
        if options.command is not None:
            self._command = EventCommand(options.command, _report, limit=options.command_seconds)

    async def run(self) -> int:
        """Pass on all lines; return the exit status."""
        output = None
        try:
            if self._server is not None:
                await self._server.start()
                options = self._options
                _report(f"Serving {options.replay} on {options.serve}. It begins when the first client connects.")
            if self._command is not None:
                self._command.start()
            client = AsyncClient(self._options.socket) if self._options.replay is None else None
            output = self._make_output(client)
            await self._pass_on(client, output)
            await self._finish()
        finally:
            if output is not None:
                output.close()
            await self._stop()
        return 1 if self._command is not None and self._command.failures else 0

    def _make_output(self, client: AsyncClient | None) -> Output:
        match self._options.form:
            case None if self._command is not None or self._server is not None:
                return NoOutput()
            case None | "live" | "text":
                return ViewOutput(client, plain=self._options.form == "text")
            case form:
                return LinesOutput(form)

    async def _pass_on(self, client: AsyncClient | None, output: Output) -> None:
        losses = LossReporter(output.message)
        try:
            async with contextlib.aclosing(self._lines(client, losses)) as lines:
                async for line, event in lines:
                    losses.found()
                    # First: what is recorded is whole whatever becomes of the output.
                    if self._recorder is not None:
                        self._recorder.write(line)
                    if self._server is not None:
                        await self._server.send(event)
                    if self._command is not None:
                        await self._command.offer(line, event)
                    output.show(line, event)
        except SerError:
            # The events before have come all the same.
            await self._finish()
            raise

    async def _lines(self, client: AsyncClient | None, losses: LossReporter) -> AsyncGenerator[Line]:
        options = self._options
        if client is None:
            assert options.replay is not None
            async with contextlib.aclosing(replay(options.replay, options.filter, fast=options.fast)) as entries:
                async for entry in entries:
                    yield entry.line, entry.event
            return
        filter_ = encode_filter(options.events, options.partial, options.min_confidence)
        async with contextlib.aclosing(client.lines(filter_, reconnect=True, on_lost=losses.lost)) as lines:
            async for line in lines:
                yield line, decode(line)

    async def _finish(self) -> None:
        if self._command is not None:
            await self._command.finish()
        if self._server is not None:
            await self._server.close(drain=True)

    async def _stop(self) -> None:
        if self._command is not None:
            await self._command.stop()
            summary = self._command.summary()
            if summary is not None:
                _report(summary)
        if self._server is not None:
            await self._server.close(drain=False)


def _report(sentence: str) -> None:
    report_error("ser-watch", sentence)


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False
