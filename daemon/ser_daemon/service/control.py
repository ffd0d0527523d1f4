"""The control verbs: what clients of the control socket, and SIGHUP, make the engine do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from ser_daemon.config.schema import Config
from ser_daemon.pipeline.source_reader import OPEN_ALLOWANCE
from ser_daemon.pipeline.threads import await_with_timeout
from ser_daemon.service.adaptation_verbs import AdaptationVerbs
from ser_daemon.service.engine import Engine
from ser_daemon.service.mute import MuteMemory
from ser_daemon.service.status import StatusBoard
from ser_daemon.service.systemd import Notifier
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError

log = logging.getLogger(__name__)

PATIENCE = 1.5
"""Seconds until a command that did not run is reported: a sound library can hang in its C code."""

RELOAD_SECONDS = 8.0
"""Time for reading a configuration and loading its model; less than `ser-ctl` waits by default."""

STORE_SECONDS = 2.0
"""Time for writing the mute state: a disk may hang."""

AT_START_ONLY = ("service.start_muted", "service.state_directory", "service.core_dumps")
"""Settings, beside the section `socket`, that are read at the start only."""


class Control:
    """Implements `ser_daemon.wire.requests.ControlHandler`: every verb returns when it has taken effect."""

    def __init__(
        self,
        engine: Engine,
        board: StatusBoard,
        memory: MuteMemory | None,
        notifier: Notifier,
        load: Callable[[], Config],
    ) -> None:
        """Prepare to control.

        Args:
            engine: runs the commands.
            board: knows the audio state that subscribers know.
            memory: keeps a mute over a restart; None: nothing does.
            notifier: told about reloads.
            load: reads the configuration as the command line did.
        """
        self._engine = engine
        self._board = board
        self._memory = memory
        self._notifier = notifier
        self._load = load
        self._reloading = asyncio.Lock()
        self._adaptation = AdaptationVerbs(engine, self._completed)
        self._storing = asyncio.Lock()
        """Held while a mute or unmute is written, so that the file gets them in the order of the requests."""

    async def mute(self) -> None:
        """Close the microphone; survives a restart."""
        command = self._engine.capture.mute()
        try:
            await self._remember(True)
        finally:
            await self._completed(command)

    async def unmute(self) -> str:
        """Open the microphone again.

        Returns:
            a sentence about the state: listening only where audio comes already
        """
        command = self._engine.capture.unmute()
        try:
            await self._remember(False)
        finally:
            await self._completed(command)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._board.wait_until(lambda state: state != CaptureState.STARTING)
        match self._board.state.state:
            case CaptureState.STARTING:
                return "Unmuted: the device is being opened."
            case CaptureState.MUTED:
                return "Unmuted, and muted again by another request."
        return f"Unmuted: {self._board.describe()}."

    async def hold(self, ms: int | None) -> None:
        """Ignore the audio for `ms`, or until `release`."""
        await self._completed(self._engine.capture.hold(ms))

    async def release(self) -> None:
        """End a hold."""
        await self._completed(self._engine.capture.release())

    async def reload(self) -> str:
        """Read the configuration again and use it, or keep the old one.

        Returns:
            a sentence about what changed

        Raises:
            SerError: the new configuration cannot be used; the old one is still in force.
        """
        async with self._reloading, self._adaptation.changing:
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready()

    async def _reload(self) -> str:
        old = self._engine.config
        try:
            change = await await_with_timeout(
                lambda: self._engine.prepare(self._load()), RELOAD_SECONDS, _late_reload()
            )
        except SerError as error:
            raise SerError(f"The old configuration stays in force: {error}") from error
        await self._completed(self._engine.use(change))
        new = change.config
        if new.service.log_level != old.service.log_level:
            logging.getLogger("ser_daemon").setLevel(new.service.log_level.upper())
        return describe_change(old, new)

    async def reset_adaptation(self) -> str:
        """Forget what was learned about microphone and voice, and all corrections; see `AdaptationVerbs.reset`."""
        return await self._adaptation.reset()

    async def label(self, utterance_id: str, label: str) -> Mapping[str, object]:
        """Correct the label of an utterance; see `AdaptationVerbs.label`."""
        return await self._adaptation.label(utterance_id, label)

    async def taught(self, start: int | None) -> Mapping[str, object]:
        """Return what was taught; see `AdaptationVerbs.taught`."""
        return self._adaptation.taught(start)

    async def _remember(self, muted: bool) -> None:
        """Write the mute state to disk, in another thread: a disk may take seconds."""
        memory = self._memory
        if memory is not None:
            async with self._storing:
                await await_with_timeout(lambda: memory.store(muted), STORE_SECONDS, _late_store())

    async def _completed(self, command: Future[None]) -> None:
        """Wait until a command has run, and until everything queued before its end is published.

        Raises:
            SerError: the command failed, or the thread does not answer. Then it runs as soon as the thread can.
        """
        await self._wait_for(command)
        # The queue is read in order, and so are the event loop's callbacks: all earlier events are published by then.
        await self._wait_for(self._engine.queue.submit(lambda: None))

    async def _wait_for(self, command: Future[None]) -> None:
        future = asyncio.wrap_future(command)
        waited = 0.0
        while not future.done():
            # Not `wait_for`: it would cancel the command, and a mute must take effect also when nobody waits any more.
            await asyncio.wait([future], timeout=PATIENCE)
            waited += PATIENCE
            if not future.done() and not (self._engine.capture.is_opening and waited < OPEN_ALLOWANCE):
                future.add_done_callback(lambda done: done.exception())
                raise SerError(
                    f"The capture thread did not answer within {waited:g} s; the sound system may hang "
                    "(the daemon ends and is started again by systemd if it goes on)."
                )
        future.result()


def _late_reload() -> SerError:
    return SerError(f"settings and model were not loaded within {RELOAD_SECONDS:g} s; does a file or disk hang?")


def _late_store() -> SerError:
    return SerError(f"Done, but the state was not written within {STORE_SECONDS:g} s; a restart may not know of it.")


def describe_change(old: Config, new: Config) -> str:
    """Describe in a sentence which settings a reload changed, and which of them need a restart."""
    changed: list[str] = []
    restart: list[str] = []
    for section in ("audio", "gate", "model", "decision", "adaptation", "socket", "service"):
        before, after = getattr(old, section), getattr(new, section)
        for field in dataclasses.fields(after):
            if getattr(before, field.name) != getattr(after, field.name):
                name = f"{section}.{field.name}"
                (restart if section == "socket" or name in AT_START_ONLY else changed).append(name)
    text = f"Reloaded; changed: {', '.join(changed)}." if changed else "Reloaded; nothing changed."
    return text + (f" Needs a restart: {', '.join(restart)}." if restart else "")
