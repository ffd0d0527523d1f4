"""Commands from one thread, carried out by another between two of its steps."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future


class Inbox:
    """Any thread puts actions in; the owner runs them, and can wait for one to arrive."""

    def __init__(self) -> None:
        self._actions: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._arrived = threading.Condition()

    def put(self, action: Callable[[], None]) -> Future[None]:
        """Ask for an action; the future ends when it was carried out (or with what it raised)."""
        done: Future[None] = Future()
        with self._arrived:
            self._actions.append((action, done))
            self._arrived.notify_all()
        return done

    def run_all(self) -> None:
        """Carry out what was asked for so far; called by the owner only."""
        while True:
            with self._arrived:
                if not self._actions:
                    return
                action, done = self._actions.popleft()
            try:
                action()
            except BaseException as error:
                done.set_exception(error)
                raise
            done.set_result(None)

    def wait(self, seconds: float) -> None:
        """Wait until an action is there, at most `seconds`."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._actions), seconds)
