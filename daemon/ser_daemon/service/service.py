"""The running daemon: event loop, sockets, signals, supervision, and an end that always comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ser_daemon.config.device_spec import AudioFile
from ser_daemon.config.loading import Config
from ser_daemon.paths import control_socket, state_directory, user_socket
from ser_daemon.pipeline.inference import Outcome
from ser_daemon.pipeline.speech_queue import AudioStatus, Mark
from ser_daemon.service.control import Control
from ser_daemon.service.engine import Engine
from ser_daemon.service.metrics import Metrics
from ser_daemon.service.mute import MuteMemory
from ser_daemon.service.supervisor import TICK, Supervisor, Worker
from ser_daemon.service.systemd import Notifier
from ser_daemon.service.terminal_screen import Screen
from ser_daemon.views.text import describe_state
from ser_daemon.views.view import View
from ser_daemon.wire.events import AudioState, Event, VoiceStarted, VoiceStopped, to_ms, wall_time
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.server import Server, Status
from ser_model.errors import SerError

log = logging.getLogger(__name__)

FINISH_SECONDS = 0.5
"""Time that the threads get, beyond one read, to finish the open utterance when the daemon is to end."""

ABANDONED_SECONDS = 0.3
"""Time for the final of an utterance whose capture thread hangs."""

JOIN_SECONDS = 0.2
"""Time that a thread gets between reporting its end and being gone."""

DRAIN_SECONDS = 0.2
"""Time that subscribers get to read what is queued when the daemon is told to end."""

DRAIN_AT_END_SECONDS = 1.0
"""The same at the end of a file, where nobody is waiting for the daemon to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is decided by how the daemon was started, not by its configuration."""

    service: bool = False
    """Run by a service manager: wait for a missing device instead of failing at the start."""
    make_view: Callable[[], View] | None = None
    """Makes what shows a person what subscribers get; called once nothing can fail any more, because a live
    view takes over the terminal. None: no view."""
    notice: str | None = None
    """A sentence for that person."""


class Service:
    """One run of the daemon."""

    def __init__(self, config: Config, options: Options, load: Callable[[], Config]) -> None:
        """Set up; loads the model, opens nothing.

        Args:
            config: the configuration.
            options: how it was started.
            load: reads the configuration again, for a reload.

        Raises:
            SerError: the model or the settings cannot be used.
        """
        self._config = config
        self._options = options
        self._notifier = Notifier()
        self._metrics = Metrics()
        self._publisher = Publisher(config.socket.queue_size)
        self._marks: dict[Mark, asyncio.Future[None]] = {}
        self._state = AudioState(state=CaptureState.STARTING, device=config.audio.device)
        self._speaking = False
        self._screen = Screen(gone=lambda: self._told(signal.SIGHUP))
        self._end = asyncio.Event()
        self._error: SerError | None = None
        self._exit_code = 0
        self._reason: str | None = None
        """Why the daemon ends, where it was not told to."""
        self._told_to_end = False
        self._abandoned = False
        """The capture thread hangs, and the daemon ends without it."""
        self._blocked = False
        """Subscribers know that the capture thread waits for its device."""
        self._loop = asyncio.get_running_loop()
        # A file is no microphone: a mute neither applies to it at the start nor is changed by it.
        is_file = isinstance(config.audio.device_spec, AudioFile)
        memory = None if is_file else MuteMemory(config.service.state_directory or state_directory())
        self._engine = Engine(
            config,
            emit=self._from_thread,
            ended=self._thread_ended,
            muted=memory is not None and memory.load(default=config.service.start_muted),
            patient=options.service,
        )
        self._running = set(self._engine.workers)
        self._finished = asyncio.Event()
        self._control = Control(self._engine, memory, self._notifier, load, self._settled)
        self._server = Server(self._publisher, self._control, self._status, self._snapshot, config.socket.max_clients)

    async def run(self) -> int:
        """Run until told to end, until the source ends, or until something breaks.

        Returns:
            the process's exit code

        Raises:
            SerError: a socket cannot be made, or the source cannot be read.
        """
        path = self._config.socket.path or user_socket()
        await self._server.start(path, self._config.socket.control_path or control_socket(path))
        self._publisher.add_listener(self._note)
        self._install_signals()
        self._engine.start()
        watching = [asyncio.create_task(self._end.wait()), asyncio.create_task(self._supervise())]
        self._notifier.ready(self._status_line())
        # Not the paths that were asked for: systemd may have handed other sockets over.
        served = " and ".join(map(str, self._server.paths))
        log.info("Serving %s with model %s.", served, self._engine.model.name)
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        await self._shut_down()
        for task in watching:
            task.cancel()
        for task in done:
            task.result()
        if self._error is not None:
            raise self._error
        return self._exit_code

    # What the threads say. The first two run in the threads, the rest in the event loop.

    def _from_thread(self, outcome: Outcome) -> None:
        self._loop.call_soon_threadsafe(self._publish, outcome)

    def _thread_ended(self, worker: Worker) -> None:
        self._loop.call_soon_threadsafe(self._worker_ended, worker)

    def _publish(self, outcome: Outcome) -> None:
        if isinstance(outcome, Mark):
            waiting = self._marks.pop(outcome, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        else:
            self._publisher.publish(self._engine.event(outcome))

    async def _settled(self) -> None:
        """Wait until everything that the capture thread has said so far is published."""
        future = self._loop.create_future()
        mark = self._engine.mark()
        self._marks[mark] = future
        try:
            await future
        finally:
            self._marks.pop(mark, None)

    def _note(self, event: Event) -> None:
        if not self._end.is_set():
            # Not before the first event: a live view must not flash up over a microphone that is not there.
            self._screen.open(self._options.make_view, self._status, self._options.notice)
        self._metrics.note(event)
        match event:
            case AudioState():
                self._state = event
                self._notifier.status(self._status_line())
            case VoiceStarted():
                self._speaking = True
            case VoiceStopped():
                self._speaking = False
        self._screen.show(lambda view: view.event(event))

    # Answers.

    def _status_line(self) -> str:
        """The sentence that `systemctl status` shows."""
        text = describe_state(self._state.state, self._state.device, self._state.reason)
        return f"{text[0].upper()}{text[1:]}."

    def _status(self) -> Status:
        capture = self._engine.capture
        gate, clock = capture.hearing.gate, capture.hearing.clock
        hears = self._state.state in ("listening", "degraded", "silent")
        return Status(
            model=self._engine.model.name,
            labels=tuple(self._engine.model.labels),
            state=self._state.state,
            reason=self._state.reason,
            speaking=self._speaking,
            muted=capture.muted,
            held=capture.held,
            device=capture.source.name,
            uptime_seconds=self._metrics.uptime_seconds,
            timestamp=to_ms(clock.position),
            level_dbfs=gate.level_dbfs if hears else None,
            noise_floor_dbfs=gate.noise_floor_dbfs if hears else None,
            gain_db=gate.gain_db if hears else None,
            extra={
                "adaptation": self._engine.session.name,
                "adaptation_seconds": round(self._engine.session.seconds, 1),
            },
        )

    def _snapshot(self) -> dict[str, float | int]:
        return self._metrics.snapshot(self._engine.capture, self._engine.queue)

    # Watching over the threads.

    async def _supervise(self) -> None:
        loops = (self._engine.capture, self._engine.inference)
        supervisor = Supervisor(
            list(zip(self._engine.workers, loops, strict=True)),
            alive=self._notifier.watchdog,
            stuck=self._break_off,
        )
        while True:
            await asyncio.sleep(TICK)
            supervisor.look(time.monotonic())
            self._tell_blocked(supervisor.waited)

    def _tell_blocked(self, waited: float) -> None:
        """A capture thread that hangs in C cannot say so itself."""
        capture = self._engine.capture
        if waited < capture.frame_deadline:
            self._blocked = self._blocked and waited > 0
        elif not self._blocked:
            self._blocked = True
            reason = f"The device has given no audio for {capture.frame_deadline:g} s."
            log.warning("Audio state: no-device (%s): %s", capture.source.name, reason)
            self._publish(
                AudioStatus("no-device", capture.source.name, reason, position=capture.hearing.clock.position)
            )
            capture.repeat_state()

    def _worker_ended(self, worker: Worker) -> None:
        self._running.discard(worker)
        error = worker.error
        if isinstance(error, SerError):
            self._error = self._error or error
            self._reason = str(error)
            self._end.set()
        elif error is not None:
            log.error("The %s thread failed.", worker.name, exc_info=error)
            self._break_off(f"The {worker.name} thread failed.")
        elif not self._running:
            # The capture thread closes the queue behind it, and the inference thread has emptied it.
            self._end.set()
        if not self._running or self._abandoned:
            self._finished.set()

    def _break_off(self, sentence: str) -> None:
        """End with a failure, so that the service manager starts the daemon again."""
        self._reason = f"{sentence} The daemon ends."
        self._exit_code = 1
        self._end.set()

    # The end.

    def _install_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._told, number)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    def _restore_signals(self) -> None:
        """From here on a further Ctrl-C ends the process at once, without a traceback."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def _told(self, number: int) -> None:
        if self._told_to_end:
            # Asked twice: whatever hangs, the process ends now.
            os._exit(128 + number)
        self._told_to_end = True
        self._end.set()

    def _reload_soon(self) -> None:
        async def reload() -> None:
            try:
                log.info("%s", await self._control.reload())
            except SerError as error:
                log.error("%s", error)

        self._reload_task = self._loop.create_task(reload())

    async def _shut_down(self) -> None:
        """End the open utterance, tell the subscribers, close; bounded in every step."""
        self._end.set()
        patience = self._config.audio.read_ms / 1000 + FINISH_SECONDS
        drain = DRAIN_SECONDS if self._told_to_end else DRAIN_AT_END_SECONDS
        last_resort = threading.Timer(
            patience + ABANDONED_SECONDS + drain + 1.0, _exit_hard, ["The end took too long."]
        )
        last_resort.daemon = True
        last_resort.start()
        self._notifier.stopping()
        self._engine.capture.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._finished.wait(), patience)
        if self._engine.workers[0] in self._running:
            self._abandoned = True
            self._engine.capture.abandon()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), ABANDONED_SECONDS)
        state = AudioState(
            state=CaptureState.STOPPING,
            device=self._engine.capture.source.name,
            reason=self._reason,
            timestamp=to_ms(self._engine.capture.hearing.clock.position),
            time=wall_time(time.time()),
        )
        self._publisher.publish(state)
        await self._server.close(drain)
        self._screen.close()
        if self._running:
            names = ", ".join(sorted(worker.name for worker in self._running))
            _exit_hard(f"The process ends without waiting for: {names} (a sound library hangs?).")
        for worker in self._engine.workers:
            # They have reported their end, as their last act but for unwinding: what they hold is theirs till then.
            worker.join(JOIN_SECONDS)
        self._restore_signals()
        last_resort.cancel()


def _exit_hard(sentence: str) -> None:
    """End the process though threads hang: the interpreter would wait for them, or crash under them."""
    log.error("%s", sentence)
    logging.shutdown()
    os._exit(1)
