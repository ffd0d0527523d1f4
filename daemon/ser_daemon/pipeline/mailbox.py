"""Calls from one thread to another: `submit(action)` returns a future, and the owner runs the action."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from ser_model.errors import SerError


class Call:
    """An action to run on another thread, and the future of its end."""

    __slots__ = ("_action", "future")

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self.future: Future[None] = Future()

    def run(self) -> None:
        """Run the action and complete the future; a cancelled call does nothing.

        `SerError` is the caller's to report. Any other exception also ends the thread that runs the call: it is a
        fault of the program, and the supervisor must see it.
        """
        # Without this, completing a future that its caller has cancelled raises InvalidStateError in this thread.
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self._action()
        except SerError as error:
            self.future.set_exception(error)
        except BaseException as error:
            self.future.set_exception(error)
            raise
        else:
            self.future.set_result(None)

    def fail(self, error: SerError) -> None:
        """Complete the future with an error instead of running the action."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Mailbox:
    """Any thread submits actions; the owner runs them in order, between two of its steps."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, action: Callable[[], None]) -> Future[None]:
        """Queue an action for the owner.

        Returns:
            a future that completes when the action has run; with `SerError` where the owner has ended
        """
        call = Call(action)
        with self._changed:
            if not self._closed:
                self._calls.append(call)
                self._changed.notify_all()
                return call.future
        call.fail(ended())
        return call.future

    def run_pending(self) -> None:
        """Run all queued actions; only the owner calls this."""
        while (call := self._next()) is not None:
            call.run()

    def wait(self, seconds: float) -> None:
        """Wait until an action is queued, at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._calls), seconds)

    def close(self) -> None:
        """Fail the actions that are still queued, and all that follow."""
        with self._changed:
            self._closed = True
        while (call := self._next()) is not None:
            call.fail(ended())

    def _next(self) -> Call | None:
        # Mostly there is none; a call that is queued right now is the next round's.
        if not self._calls:
            return None
        with self._changed:
            return self._calls.popleft() if self._calls else None


def ended() -> SerError:
    """Make the error for a call to a thread that runs no more calls."""
    return SerError("The daemon is ending.")
