"""Keeps the daemon from hearing the assistant itself."""

from __future__ import annotations

import asyncio
import logging

from ser_bridges.daemon import Daemon
from ser_model.errors import SerError

log = logging.getLogger(__name__)

HOLD_MS = 60_000
"""A hold ends by itself after so long: this process may die in mid-speech."""

RENEW_SECONDS = 20.0
"""Time between two holds while the assistant speaks."""

LONGEST_SECONDS = 600.0
"""After so long the assistant is taken for silent: a program that died cannot say that it has stopped."""


class Hold:
    """Holds the daemon's microphone while the assistant speaks, and for its echo.

    Args:
        daemon: whose microphone it is.
        echo_ms: milliseconds of audio to ignore after the assistant has spoken.
    """

    def __init__(self, daemon: Daemon, echo_ms: int) -> None:
        self._daemon = daemon
        self._echo_ms = echo_ms
        self._since: float | None = None
        """Time on the event loop's clock at which the assistant began to speak; None: it is silent."""
        self._changed = asyncio.Event()
        self._said = ""

    def begin(self) -> None:
        """The assistant begins to speak."""
        self._since = asyncio.get_running_loop().time()
        self._changed.set()

    def end(self) -> None:
        """The assistant has spoken, or nobody could tell us if it had."""
        self._since = None
        self._changed.set()

    def again(self) -> None:
        """The daemon is new, and knows of no hold."""
        self._changed.set()

    async def run(self) -> None:
        """Carry out holds, one request at a time, until cancelled."""
        loop = asyncio.get_running_loop()
        held = False
        try:
            while True:
                try:
                    async with asyncio.timeout(None if self._since is None else RENEW_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                self._changed.clear()
                if self._since is not None and loop.time() - self._since < LONGEST_SECONDS:
                    held = await self._ask("hold", ms=HOLD_MS) or held
                elif held:
                    held = not await self._end()
        finally:
            if held:
                await self._end()

    async def _end(self) -> bool:
        return await (self._ask("hold", ms=self._echo_ms) if self._echo_ms else self._ask("release"))

    async def _ask(self, verb: str, **data: object) -> bool:
        try:
            await self._daemon.control(verb, **data)
        except SerError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("The microphone cannot be held while the assistant speaks: %s", error)
            return False
        self._said = ""
        log.debug("Carried out: %s %s", verb, data)
        return True
