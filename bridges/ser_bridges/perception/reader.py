"""Reads how a user sounds, off the event loop, from audio as it comes."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

from ser_bridges.perception.stream import AudioFormat, Stream
from ser_model.config import DecisionConfig, GateConfig
from ser_model.errors import SerError
from ser_model.network.estimator import Model
from ser_model.recognizer import Recognizer
from ser_model.types import EmotionResult

log = logging.getLogger(__name__)

WAITING_SECONDS = 30
"""Audio that may wait for the thread. Beyond that the oldest is dropped: an answer would come too late anyway."""

BLOCK_SECONDS = 0.096
"""Audio that is processed at once at least: three frames of the detector."""

TURN_SECONDS = 0.64
"""Audio that is processed at once at most. It takes some 15 ms, which is how long one user may delay the others."""

ECHO_SECONDS = 0.3
"""Audio that is ignored after the assistant has spoken: its echo in a room, and what a sound card still had to play."""

PATIENCE_SECONDS = 0.5
"""How long a turn waits for its reading at most. It is usually there, since the speech has ended by then."""


class Mark(Enum):
    """What happens between two pieces of audio."""

    CUT = "cut"
    """The open utterance ends with the audio that it has."""
    FORGET = "forget"
    """What was read so far belongs to an earlier turn."""
    RESET = "reset"
    """Another stream follows."""


Answer = asyncio.Future[EmotionResult | None]
Audio = tuple[bytes, AudioFormat]
Item = Audio | Mark | Answer


@functools.cache
def shared_model() -> Model:
    """Return the default model, which all readers share; loading takes a tenth of a second, once."""
    return Model.load()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """One thread for all readers: Python's lock lets a second one gain nothing."""
    return ThreadPoolExecutor(1, "ser-perception")


class VoiceReader:
    """The readings of one user's turns. Everything but the recognition itself runs on the event loop.

    Args:
        model: None: the default one, shared by all readers.
        gate: None: the defaults.
        decision: None: the defaults.

    Raises:
        SerError: the model cannot be loaded.
    """

    def __init__(
        self, model: Model | None = None, gate: GateConfig | None = None, decision: DecisionConfig | None = None
    ) -> None:
        model = model or shared_model()
        self._stream = Stream(lambda: Recognizer(model, gate, decision))
        self._items: deque[Item] = deque()
        self._waiting = 0.0
        """Seconds of audio in `_items`."""
        self._readings: list[EmotionResult] = []
        """Finals since the last answer."""
        self._task: asyncio.Task[None] | None = None
        self._deaf: float | None = 0.0
        """Seconds of audio to ignore; None: until `release`."""
        self.dropped = 0.0
        """Seconds of audio that were lost because the machine was too slow."""

    def push(self, audio: bytes, rate: int, channels: int = 1) -> None:
        """Take the next samples: signed 16 bit, interleaved. Returns at once."""
        if rate <= 0 or channels <= 0:
            return
        item = audio, AudioFormat(rate, channels)
        if self._is_deaf(_seconds(item)):
            return
        self._waiting += _seconds(item)
        self._items.append(item)
        while self._waiting > WAITING_SECONDS:
            self._drop_oldest()
        if self._waiting >= BLOCK_SECONDS:
            self._wake()

    def hold(self) -> None:
        """Ignore audio until `release`: the assistant speaks. What was said before ends here."""
        if self._deaf is not None:
            self._deaf = None
            self._mark(Mark.CUT)

    def release(self, echo: float = 0.0) -> None:
        """Listen again after `echo` seconds of audio."""
        if self._deaf is None:
            self._deaf = echo

    def forget(self) -> None:
        """Drop what was read of an earlier turn. An open utterance goes on."""
        self._mark(Mark.FORGET)

    def reset(self) -> None:
        """Drop everything: another stream follows."""
        self._deaf = 0.0
        self._mark(Mark.RESET)

    async def reading(self, timeout: float) -> EmotionResult | None:
        """Return how the user sounded since the last call; ends the open utterance.

        Args:
            timeout: seconds to wait for audio that is not processed yet.

        Returns:
            the final with most speech; None: there was no speech, or it took too long and is dropped
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._items.append(answer)
        self._wake()
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            log.warning("The reading of a voice took longer than %.1f s and is left out.", timeout)
            return None

    async def close(self) -> None:
        """End the work. Nothing is processed afterwards."""
        self._items.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _is_deaf(self, seconds: float) -> bool:
        if self._deaf is None:
            return True
        deaf, self._deaf = self._deaf > 0, max(0.0, self._deaf - seconds)
        return deaf

    def _mark(self, mark: Mark) -> None:
        # A mark is no more than the one before it, so that marks without audio do not pile up.
        if not self._items or self._items[-1] is not mark:
            self._items.append(mark)
        self._wake()

    def _drop_oldest(self) -> None:
        at, seconds = next((at, _seconds(item)) for at, item in enumerate(self._items) if isinstance(item, tuple))
        del self._items[at]
        self._waiting -= seconds
        if not self.dropped:
            log.warning("This machine is too slow to read the voice of every user; audio is dropped.")
        self.dropped += seconds

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._items:
            audio, mark = self._take()
            try:
                self._readings += await loop.run_in_executor(_thread(), self._process, audio, mark)
            except SerError as error:
                log.warning("The audio of a user cannot be read: %s", error)
            # Whatever it is must not end the pipeline, which does its work without a reading.
            except Exception:
                log.exception("The audio of a user could not be processed.")
                self._stream.reset()
            self._settle(mark)

    def _take(self) -> tuple[list[Audio], Mark | Answer | None]:
        """Remove audio of one format for one turn, and the mark that follows it."""
        taken: list[Audio] = []
        seconds = 0.0
        while self._items and seconds < TURN_SECONDS:
            item = self._items.popleft()
            if not isinstance(item, tuple):
                return taken, item
            seconds += _seconds(item)
            taken.append(item)
            self._waiting = max(0.0, self._waiting - _seconds(item))
        return taken, None

    def _process(self, audio: list[Audio], mark: Mark | Answer | None) -> list[EmotionResult]:
        """Process a turn; on the thread."""
        finals = []
        for piece, format_ in _joined(audio):
            finals += self._stream.push(piece, format_)
        if mark is Mark.CUT or isinstance(mark, asyncio.Future):
            finals += self._stream.end()
        elif mark is Mark.RESET:
            self._stream.reset()
        return finals

    def _settle(self, mark: Mark | Answer | None) -> None:
        if isinstance(mark, asyncio.Future) and not mark.done():
            mark.set_result(max(self._readings, key=lambda final: final.voiced, default=None))
        if mark is not None and mark is not Mark.CUT:
            self._readings.clear()


def _seconds(item: Audio) -> float:
    audio, (rate, channels) = item
    return len(audio) / (2 * rate * channels)


def _joined(audio: list[Audio]) -> list[Audio]:
    """Join consecutive pieces of one format."""
    joined: list[Audio] = []
    for piece, format_ in audio:
        if joined and joined[-1][1] == format_:
            joined[-1] = (joined[-1][0] + piece, format_)
        else:
            joined.append((piece, format_))
    return joined
