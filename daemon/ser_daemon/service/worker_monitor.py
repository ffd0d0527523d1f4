"""Watches the worker threads from the event loop: their end, their stalls, and a device that blocks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from ser_daemon.service.engine import Engine
from ser_daemon.service.shutdown import EndReason
from ser_daemon.service.supervisor import TICK, Supervisor, Worker
from ser_daemon.wire.events import AudioState, Event, to_ms, wall_time
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError

log = logging.getLogger(__name__)


class WorkerMonitor:
    """Turns what happens to the threads into the end of the daemon, or into an audio state; event loop only."""

    def __init__(
        self, engine: Engine, end: EndReason, *, publish: Callable[[Event], object], alive: Callable[[], None]
    ) -> None:
        """Watch an engine.

        Args:
            engine: its threads need not run yet.
            end: told when the daemon has to end.
            publish: publishes an event.
            alive: called as long as all is well, twice a second: it feeds the watchdog.
        """
        self.running = set(engine.workers)
        """Threads that have not ended."""
        self._engine = engine
        self._end = end
        self._publish = publish
        self._alive = alive
        self._all_ended = asyncio.Event()
        self._abandoned = False
        self._device_blocks = False
        """Subscribers know that the capture thread waits for its device."""

    async def watch(self) -> None:
        """Check the threads every `TICK` seconds, without end."""
        loops = (self._engine.capture, self._engine.inference)
        supervisor = Supervisor(
            list(zip(self._engine.workers, loops, strict=True)), alive=self._alive, stuck=self._end.fail
        )
        while True:
            await asyncio.sleep(TICK)
            supervisor.check(time.monotonic())
            self._report_blocking_device(supervisor.waited)

    def ended(self, worker: Worker) -> None:
        """Handle the end of a thread."""
        self.running.discard(worker)
        error = worker.error
        if isinstance(error, SerError):
            self._end.refuse(error)
        elif error is not None:
            log.error("The %s thread failed.", worker.name, exc_info=error)
            self._end.fail(f"The {worker.name} thread failed.")
        elif not self.running:
            # The capture thread has closed the queue, and the inference thread has emptied it.
            self._end.finish()
        if not self.running or self._abandoned:
            self._all_ended.set()

    async def wait_for_end(self, seconds: float) -> None:
        """Wait until all threads have ended, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), seconds)

    async def abandon_capture(self, seconds: float) -> None:
        """Continue without a capture thread that hangs: let the inference thread finish the open utterance."""
        self._abandoned = True
        self._engine.capture.abandon()
        await self.wait_for_end(seconds)

    def _report_blocking_device(self, waited: float) -> None:
        """Report the state of a capture thread that hangs in a library call: it cannot do so itself."""
        capture = self._engine.capture
        if waited < capture.frame_deadline:
            self._device_blocks = self._device_blocks and waited > 0
        elif not self._device_blocks:
            self._device_blocks = True
            device, position = capture.snapshot.device, capture.snapshot.position
            reason = f"The device has given no audio for {capture.frame_deadline:g} s."
            log.warning("Audio state: no-device (%s): %s", device, reason)
            self._publish(
                AudioState(
                    state=CaptureState.NO_DEVICE,
                    device=device,
                    reason=reason,
                    timestamp=to_ms(position),
                    time=wall_time(time.time()),
                )
            )
            capture.report_state_again()
