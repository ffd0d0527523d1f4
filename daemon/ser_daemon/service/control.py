"""The control verbs: what clients of the control socket, and SIGHUP, make the engine do."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from ser_daemon.config.loading import Config
from ser_daemon.service.engine import Engine
from ser_daemon.service.mute import MuteMemory
from ser_daemon.service.systemd import Notifier
from ser_model.errors import SerError

log = logging.getLogger(__name__)

PATIENCE = 1.5
"""Seconds until a command that was not carried out is reported: a sound library can hang in its C code."""

AT_START_ONLY = ("service.start_muted", "service.state_directory")
"""Settings beside the section `socket` that only a start looks at."""


class Control:
    """Implements `ser_daemon.wire.server.ControlHandler`: every verb returns when it has taken effect."""

    def __init__(
        self,
        engine: Engine,
        memory: MuteMemory | None,
        notifier: Notifier,
        load: Callable[[], Config],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare to control.

        Args:
            engine: what is controlled.
            memory: where a mute is kept over a restart; None: it is not.
            notifier: told about reloads.
            load: reads the configuration as the command line did.
            settled: waits until everything that the capture thread has said so far is published.
        """
        self._engine = engine
        self._memory = memory
        self._notifier = notifier
        self._load = load
        self._settled = settled
        self._reloading = asyncio.Lock()

    async def mute(self) -> None:
        """Close the microphone; survives a restart."""
        # Remembered first: should the device hang now, the next start must not listen.
        self._remember(True)
        await self._carried_out(self._engine.capture.mute())

    async def unmute(self) -> None:
        """Open the microphone again."""
        self._remember(False)
        await self._carried_out(self._engine.capture.unmute())

    async def hold(self, ms: int | None) -> None:
        """Ignore what is heard for `ms`, or until `release`."""
        await self._carried_out(self._engine.capture.hold(ms))

    async def release(self) -> None:
        """End a hold."""
        await self._carried_out(self._engine.capture.release())

    async def reload(self) -> str:
        """Read the configuration again and go over to it, or keep the old one.

        Returns:
            a sentence about what changed

        Raises:
            SerError: the new configuration cannot be used; the old one is still in force.
        """
        async with self._reloading:
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready()

    async def _reload(self) -> str:
        loop = asyncio.get_running_loop()
        old = self._engine.config
        try:
            new = await loop.run_in_executor(None, self._load)
            change = await loop.run_in_executor(None, self._engine.prepare, new)
        except SerError as error:
            raise SerError(f"The old configuration stays in force: {error}") from error
        await self._carried_out(self._engine.use(change))
        if new.service.log_level != old.service.log_level:
            logging.getLogger("ser_daemon").setLevel(new.service.log_level.upper())
        return describe_change(old, new)

    async def reset_adaptation(self) -> str:
        """Forget what was learnt about microphone and voice, also on disk.

        Returns:
            a sentence about what is in force now

        Raises:
            SerError: the file could not be removed, or nobody answers.
        """
        session = self._engine.session
        await self._carried_out(self._engine.errand(session.forget))
        match session.name:
            case "profile":
                return "What was learnt is forgotten; the speaker's profile stays in force."
            case _ if session.adaptation is None:
                return "What was learnt is forgotten; nothing is being learnt."
        return "What was learnt is forgotten; learning begins anew."

    def _remember(self, muted: bool) -> None:
        if self._memory is not None:
            self._memory.store(muted)

    async def _carried_out(self, command: Future[None]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.wrap_future(command)
                await self._settled()
        except TimeoutError:
            raise SerError(
                f"The capture thread did not answer within {PATIENCE:g} s; the sound system may hang "
                "(the daemon ends and is started again by systemd if it goes on)."
            ) from None


def describe_change(old: Config, new: Config) -> str:
    """Say in a sentence which settings a reload changed, and which of them need a restart."""
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
