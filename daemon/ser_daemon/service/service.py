"""The running daemon: it connects engine, sockets, terminal and systemd on the event loop, from start to end."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ser_daemon.config.device_spec import AudioFile, LiveSpec
from ser_daemon.config.schema import Config
from ser_daemon.paths import control_socket, state_directory, user_socket
from ser_daemon.service.control import Control
from ser_daemon.service.engine import Engine
from ser_daemon.service.memory import trim_memory
from ser_daemon.service.metrics import Metrics
from ser_daemon.service.mute import MuteMemory
from ser_daemon.service.output_thread import QUEUE_SIZE, RECORDING_QUEUE_SIZE
from ser_daemon.service.shutdown import (
    ABANDON_SECONDS,
    FINISH_SECONDS,
    JOIN_SECONDS,
    VIEW_SECONDS,
    EndReason,
    exit_hard,
    restore_signals,
    start_last_resort,
)
from ser_daemon.service.status import StatusBoard
from ser_daemon.service.supervisor import Worker
from ser_daemon.service.systemd import Notifier
from ser_daemon.service.terminal_screen import Screen
from ser_daemon.service.worker_monitor import WorkerMonitor
from ser_daemon.views.view import View
from ser_daemon.wire.events import AudioState, Event, to_ms, wall_time
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.server import Server
from ser_model.errors import SerError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What depends on how the daemon was started, not on its configuration."""

    service: bool = False
    """Started by a service manager: wait for a missing device instead of failing."""
    make_view: Callable[[], View] | None = None
    """Makes the view for a person, on a thread of its own. Called once nothing can fail any more, since a live view
    takes over the terminal. None: no view."""
    live: bool = False
    """The view is the live one."""
    keys: bool = False
    """The live view reads keys from the terminal."""
    notice: str | None = None
    """A sentence for that person."""


class Service:
    """One run of the daemon."""

    def __init__(self, config: Config, options: Options, load: Callable[[], Config]) -> None:
        """Set up; loads the model, opens nothing.

        Args:
            config: the configuration.
            options: how the daemon was started.
            load: reads the configuration again, for a reload.

        Raises:
            SerError: the model or the settings cannot be used.
        """
        self._config = config
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier()
        self._metrics = Metrics()
        self._publisher = Publisher(config.socket.queue_size)
        self._end = EndReason()
        self._screen = self._make_screen()
        # Mute is for microphones: it neither applies to a file at the start nor is changed by one.
        is_file = isinstance(config.audio.device_spec, AudioFile)
        memory = None if is_file else MuteMemory(config.service.state_directory or state_directory())
        self._engine = Engine(
            config,
            emit=self._emit,
            ended=self._thread_ended,
            muted=memory is not None and memory.load(default=config.service.start_muted),
            patient=options.service,
        )
        self._monitor = WorkerMonitor(
            self._engine, self._end, publish=self._publisher.publish, alive=self._notifier.watchdog
        )
        self._board = StatusBoard(self._engine, self._metrics)
        self._control = Control(self._engine, self._board, memory, self._notifier, load)
        self._server = Server(
            self._publisher,
            self._control,
            self._board.status,
            self._board.metrics,
            config.socket.max_clients,
            self._metrics.histograms,
        )
        self._reload_task: asyncio.Task[None] | None = None

    def _make_screen(self) -> Screen:
        is_live = isinstance(self._config.audio.device_spec, LiveSpec)
        return Screen(
            self._options.make_view,
            live=self._options.live,
            size=QUEUE_SIZE if is_live else RECORDING_QUEUE_SIZE,
            gone=self._end.hang_up,
            label=self._label if self._options.keys else None,
        )

    async def run(self) -> int:
        """Run until a signal, the end of the source, or a failure.

        Returns:
            the process's exit code

        Raises:
            SerError: a socket cannot be made, or the source cannot be read.
        """
        # Before the sockets are made: whatever ends the daemon from here on also removes them.
        self._install_signals()
        # A Ctrl-C that came before takes effect here, as a cancellation.
        await asyncio.sleep(0)
        path = self._config.socket.path or user_socket()
        await self._server.start(path, self._config.socket.control_path or control_socket(path))
        self._publisher.add_listener(self._published)
        self._engine.start()
        watching = [asyncio.create_task(self._end.requested.wait()), asyncio.create_task(self._monitor.watch())]
        self._notifier.ready(self._board.sentence())
        # Not the configured paths: systemd may have passed other sockets.
        served = " and ".join(map(str, self._server.paths))
        log.info("Serving %s with model %s.", served, self._engine.model.name)
        trim_memory()
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        if self._end.is_complete:
            # The recording is over and nothing is captured any more, so its last results may wait for their reader.
            await self._screen.drain(until=lambda: self._end.by_signal)
        await self._shut_down()
        for task in watching:
            task.cancel()
        for task in done:
            task.result()
        if self._end.error is not None:
            raise self._end.error
        return self._end.exit_code

    # Called by the threads.

    def _emit(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self._publisher.publish, event)

    def _thread_ended(self, worker: Worker) -> None:
        self._loop.call_soon_threadsafe(self._monitor.ended, worker)

    # On the event loop.

    def _published(self, event: Event) -> None:
        if not self._end.requested.is_set():
            # Not before the first event: a live view must not flash up where there is no microphone.
            self._screen.open(self._board.status, self._options.notice)
        self._metrics.count(event)
        self._board.event(event)
        if isinstance(event, AudioState):
            self._notifier.status(self._board.sentence())
        self._screen.event(event)

    async def _label(self, utterance_id: str, label: str) -> Mapping[str, object]:
        return await self._control.label(utterance_id, label)

    def _install_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._end.signalled, number)
        if self._options.service:
            self._loop.add_signal_handler(signal.SIGHUP, self._start_reload)
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            # A terminal that is closed: nobody sees any more that the microphone is open. nohup(1) ignores the signal.
            self._loop.add_signal_handler(signal.SIGHUP, self._end.hang_up)

    def _start_reload(self) -> None:
        async def reload() -> None:
            try:
                log.info("%s", await self._control.reload())
            except SerError as error:
                log.error("%s", error)

        self._reload_task = self._loop.create_task(reload())

    async def _shut_down(self) -> None:
        """End the open utterance, inform the subscribers, close everything; every step is bounded."""
        self._end.requested.set()
        self._screen.close_keyboard()
        finish = self._config.audio.read_ms / 1000 + FINISH_SECONDS
        last_resort = start_last_resort(finish + ABANDON_SECONDS + self._end.drain_seconds + VIEW_SECONDS)
        self._notifier.stopping()
        self._engine.capture.stop()
        await self._monitor.wait_for_end(finish)
        if self._engine.workers[0] in self._monitor.running:
            await self._monitor.abandon_capture(ABANDON_SECONDS)
        self._publisher.publish(self._stopping_state())
        await self._server.close(self._end.drain_seconds)
        shown = self._screen.close(VIEW_SECONDS)
        if self._monitor.running:
            names = ", ".join(sorted(worker.name for worker in self._monitor.running))
            exit_hard(f"The process ends without waiting for: {names} (a sound library hangs?).")
        for worker in self._engine.workers:
            # They have reported their end as their last act; until they are gone, what they hold is theirs.
            worker.join(JOIN_SECONDS)
        restore_signals(self._loop)
        last_resort.cancel()
        if not shown:
            # The interpreter would wait for the lock of stdout, which the view's thread holds while it is blocked.
            exit_hard("Nobody reads the output: some of it is lost.", self._end.exit_code)

    def _stopping_state(self) -> AudioState:
        capture = self._engine.capture.snapshot
        return AudioState(
            state=CaptureState.STOPPING,
            device=capture.device,
            reason=self._end.sentence,
            timestamp=to_ms(capture.position),
            time=wall_time(time.time()),
        )
