"""Read a microphone in a daemon thread, because a sound library may hang in its C code forever."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace

from ser_calibration.microphone.timing import Timing, TimingMonitor
from ser_daemon.sources import RESPONSE_SECONDS, AudioSource, NoResponse, boot_time
from ser_daemon.sources.base import Chunk
from ser_daemon.sources.microphone import Microphone
from ser_model.errors import SerError

STALL_SECONDS = 5.0
"""A device without audio for so long has failed; sound servers do pause for a moment."""

_CLOSE_SECONDS = 3.0
_QUEUE_SIZE = 256
_THREAD_NAME = "microphone"


class RecordingSession:
    """An open device, as a context manager; only its thread uses the device.

    Args:
        source: a live source, not yet opened.
    """

    def __init__(self, source: AudioSource) -> None:
        self.source = source
        self._timing = TimingMonitor(boot_time())
        # Bounded: if nobody reads, the device overflows and reports it.
        self._chunks: queue.Queue[Chunk | BaseException | None] = queue.Queue(_QUEUE_SIZE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=_THREAD_NAME, daemon=True)

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
            SerError: the device delivers no more audio.
        """
        stalled = SerError(
            f"{self.source.name} gives no audio for {STALL_SECONDS:g} s: is it still connected, and does the sound "
            "server answer?"
        )
        until = time.monotonic() + STALL_SECONDS
        while (left := until - time.monotonic()) > 0:
            chunk = self._take(left, stalled)
            if chunk is None:
                break
            if len(chunk.samples):
                self._timing.push(chunk)
                return chunk
        raise stalled

    def timing(self) -> Timing:
        """Return the timing so far."""
        source = self.source
        seconds = source.reported_latency if isinstance(source, Microphone) else None
        return replace(self._timing.timing(), reported_ms=None if seconds is None else 1000.0 * seconds)

    def _take(self, seconds: float, timeout_error: SerError) -> Chunk | None:
        """Return the next item of the queue; raise it if it is an error."""
        try:
            item = self._chunks.get(timeout=seconds)
        except queue.Empty:
            raise timeout_error from None
        if isinstance(item, BaseException):
            raise item
        return item

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
            # Raised again in `_take`.
            self._put(error)

    def _put(self, item: Chunk | BaseException | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._chunks.put(item, timeout=0.1)
                return


def is_device_hung() -> bool:
    """Return whether a device's thread hangs; the interpreter could then hang at exit, too."""
    return any(thread.name == _THREAD_NAME for thread in threading.enumerate())
