"""Read a microphone in a thread that can be left behind: a sound library may hang in its C code for good."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace

from ser_calibration.microphone.timing import Stopwatch, Timing
from ser_daemon.sources import RESPONSE_SECONDS, AudioSource, NoResponse, boot_time
from ser_daemon.sources.base import Chunk
from ser_daemon.sources.microphone import Microphone
from ser_model.errors import SerError

STALL_SECONDS = 5.0
"""A device that gives nothing for so long will not go on; sound servers do stop for a moment."""

_CLOSE_SECONDS = 3.0
_WAITING = 256
_THREAD = "microphone"


class RecordingSession:
    """An open device, as a context manager; only its thread touches it.

    Args:
        source: a live source, not yet opened.
    """

    def __init__(self, source: AudioSource) -> None:
        self.source = source
        self._watch = Stopwatch(boot_time())
        # Bounded: should nobody take them, the device is to overflow, and say so.
        self._chunks: queue.Queue[Chunk | BaseException | None] = queue.Queue(_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)

    def __enter__(self) -> RecordingSession:
        """Open the device.

        Raises:
            SerError: it can't be opened, or the sound system does not answer.
        """
        self._thread.start()
        try:
            self._take(RESPONSE_SECONDS, NoResponse())
        except BaseException:
            self._stop.set()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)

    def read(self) -> Chunk:
        """Wait for the next chunk that holds samples.

        Raises:
            SerError: the device gives nothing any more.
        """
        silent = SerError(
            f"{self.source.name} gives no audio for {STALL_SECONDS:g} s: is it still connected, and does the sound "
            "server answer?"
        )
        until = time.monotonic() + STALL_SECONDS
        while (left := until - time.monotonic()) > 0:
            chunk = self._take(left, silent)
            if chunk is None:
                break
            if len(chunk.samples):
                self._watch.push(chunk)
                return chunk
        raise silent

    def timing(self) -> Timing:
        """Return how samples arrived so far."""
        source = self.source
        seconds = source.reported_latency if isinstance(source, Microphone) else None
        return replace(self._watch.timing(), reported_ms=None if seconds is None else 1000.0 * seconds)

    def _take(self, seconds: float, late: SerError) -> Chunk | None:
        try:
            taken = self._chunks.get(timeout=seconds)
        except queue.Empty:
            raise late from None
        if isinstance(taken, BaseException):
            raise taken
        return taken

    def _run(self) -> None:
        try:
            self.source.open()
            try:
                self._put(None)
                while not self._stop.is_set():
                    self._put(self.source.read())
            finally:
                self.source.close()
        except BaseException as error:
            # Raised again by whoever waits.
            self._put(error)

    def _put(self, item: Chunk | BaseException | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._chunks.put(item, timeout=0.1)
                return


def left_behind() -> bool:
    """Whether a device is still open in a thread that hangs: then the interpreter could not end either."""
    return any(thread.name == _THREAD for thread in threading.enumerate())
