"""The audio of one client on its way from the event loop to a worker thread, and the events on their way back."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ser_bridges.wyoming.encoding import encode
from ser_bridges.wyoming.recognition import Recognition, RecognitionSettings, block_bytes
from ser_bridges.wyoming.workers import Workers
from ser_daemon.sources.wyoming_audio import WyomingDecoder

log = logging.getLogger(__name__)

BLOCK_MS = 96
"""Audio that is processed at once at least: three frames of the detector. Smaller pieces cost more; larger ones come
later. A busy worker finds more."""

TURN_MS = 640
"""Audio of one turn at most. It takes a worker some 15 ms, which is how long one client may delay the others."""

WAITING_BYTES = 1024 * 1024
"""Audio of a client that may wait; half a minute at 16 kHz. Beyond that nothing more is read from it."""


MOST_MARKS = 32
"""Starts, stops and answers of a client that may wait; a start holds a resampler."""


@dataclass(frozen=True, slots=True)
class Start:
    """Audio in this format follows."""

    decoder: WyomingDecoder
    time: float
    """Unix time in seconds."""


class Mark(Enum):
    """What happens between two pieces of audio."""

    STOP = "stop"
    """The audio is over."""
    PAUSE = "pause"
    """No more audio comes at present."""


Item = Start | Mark | bytes | tuple[bytes, float]
"""`bytes` is an answer, which goes out when everything before it is processed. A tuple is audio with its arrival."""


class ClientAudio:
    """Audio of a client, in the order in which it came. The event loop puts, one worker at a time takes.

    Args:
        settings: for each stream of the client.
        workers: process the audio.
        deliver: takes encoded events, on the event loop.
    """

    def __init__(self, settings: RecognitionSettings, workers: Workers, deliver: Callable[[bytes], None]) -> None:
        self._settings = settings
        self._workers = workers
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._lock = threading.Lock()
        """Guards what both sides change: the four below."""
        self._items: deque[Item] = deque()
        self._waiting = 0
        self._marks = 0
        """Items that are no audio."""
        self._working = False
        self._block, self._turn = 1, 1
        self._closed = False
        # The worker's own.
        self._recognition: Recognition | None = None
        self._utterances = 0
        self._seq = 0

    # On the event loop.

    def start(self, decoder: WyomingDecoder) -> None:
        """Expect audio in another stream."""
        self._put(Start(decoder, time.time()))
        # A block must fit into what may wait; at the highest rates it would not.
        self._block = min(block_bytes(decoder, BLOCK_MS), WAITING_BYTES // 4)
        self._turn = min(block_bytes(decoder, TURN_MS), WAITING_BYTES)

    def push(self, audio: bytes) -> None:
        """Add bytes of the stream."""
        self._put((audio, time.monotonic()))

    def stop(self) -> None:
        """End the stream: the open utterance ends with the audio that it has."""
        self._put(Mark.STOP)

    def pause(self) -> None:
        """End the open utterance; the stream may go on."""
        self._put(Mark.PAUSE)

    def answer(self, event: bytes) -> None:
        """Send an encoded event after those of all audio before it."""
        self._put(event)

    async def wait_for_room(self) -> None:
        """Wait until less than `WAITING_BYTES` and `MOST_MARKS` wait; at once where they do."""
        await self._room.wait()

    def close(self) -> None:
        """Drop everything: the client is gone."""
        with self._lock:
            self._closed = True
            self._items.clear()
            self._waiting = self._marks = 0
        self._room.set()

    def _put(self, item: Item) -> None:
        with self._lock:
            if self._closed:
                return
            self._items.append(item)
            if isinstance(item, tuple):
                self._waiting += len(item[0])
            else:
                self._marks += 1
            if not self._has_room():
                self._room.clear()
            if self._working or not self._is_ready():
                return
            self._working = True
        self._workers.submit(self)

    def _has_room(self) -> bool:
        return self._waiting < WAITING_BYTES and self._marks < MOST_MARKS

    def _is_ready(self) -> bool:
        return self._marks > 0 or self._waiting >= self._block

    def _sent(self, events: bytes) -> None:
        if not self._closed:
            if self._has_room():
                self._room.set()
            if events:
                self._deliver(events)

    # On a worker thread.

    def take_turn(self) -> bool:
        """Process the next audio, or the next mark; return whether more is ready."""
        items = self._take()
        try:
            events = b"".join(map(self._process, items))
        # Whatever it is must not end the thread, which others need.
        except Exception:
            log.exception("The audio of a client could not be processed.")
            self._recognition, events = None, b""
        if events or not self._room.is_set():
            try:
                self._loop.call_soon_threadsafe(self._sent, events)
            except RuntimeError:
                # The event loop is closed: the process ends.
                return False
        with self._lock:
            self._working = self._is_ready()
            return self._working

    def _take(self) -> list[Item]:
        """Remove audio for one turn, with the marks among it."""
        taken: list[Item] = []
        size = 0
        with self._lock:
            while self._items and size < self._turn:
                item = self._items.popleft()
                taken.append(item)
                if isinstance(item, tuple):
                    size += len(item[0])
                else:
                    self._marks -= 1
            self._waiting -= size
        return _joined(taken)

    def _process(self, item: Item) -> bytes:
        if isinstance(item, bytes):
            return item
        if isinstance(item, Start):
            self._recognition = Recognition(self._settings, item.decoder, self._utterances, item.time)
            return b""
        recognition = self._recognition
        if recognition is None:
            return b""
        match item:
            case Mark.STOP:
                events, self._recognition = recognition.finish(), None
            case Mark.PAUSE:
                events = recognition.pause()
            case audio, arrival:
                events = recognition.push(audio, arrival)
        self._utterances = recognition.utterances
        lines = []
        for event in events:
            self._seq += 1
            lines.append(encode(event.type, event.numbered(self._seq).data()))
        return b"".join(lines)


def _joined(items: list[Item]) -> list[Item]:
    """Join consecutive pieces of audio: they are a block, and came when its last piece came."""
    joined: list[Item] = []
    pieces: list[bytes] = []
    arrival = 0.0
    for item in items:
        if isinstance(item, tuple):
            pieces.append(item[0])
            arrival = item[1]
            continue
        if pieces:
            joined.append((b"".join(pieces), arrival))
            pieces = []
        joined.append(item)
    if pieces:
        joined.append((b"".join(pieces), arrival))
    return joined
