"""The processor: audio to the reader, readings to the user's turn."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from ser_bridges.command import require
from ser_bridges.perception.prompt import message_of
from ser_bridges.perception.reader import ECHO_SECONDS, PATIENCE_SECONDS, VoiceReader
from ser_model.config import DecisionConfig, GateConfig
from ser_model.network.estimator import Model
from ser_model.types import EmotionResult

# Says which extra is missing, before the imports below say only which module.
require("pipecat.frames.frames", "pipecat")

from pipecat.frames.frames import (  # noqa: E402
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    StartFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor  # noqa: E402


class SerPerceptionProcessor(FrameProcessor):  # type: ignore[misc]
    """Hears how the user sounds, and puts it into the context before the user's words.

    It goes between the transcriber and the user's context aggregator. Frames pass unchanged; recognition runs on a
    thread. Where the result is `unknown`, nothing is added.

    Args:
        model: None: the default one, shared by all processors of the process.
        gate: None: the defaults.
        decision: None: the defaults.
        echo: seconds of audio to ignore after the bot has spoken; while it speaks, all audio is ignored. None: the
            transport removes the bot's voice from the user's audio, and it is heard all the time.
        patience: seconds that a transcription waits at most for the end of the speech, and again for the reading.
        perception: makes the framework's own perception object of a final, for versions whose transcriptions have a
            field `perception` (1.15 and later). None, or an older version: a message in the context says it.
        kwargs: of `FrameProcessor`.

    Raises:
        SerError: the model cannot be loaded.
    """

    def __init__(
        self,
        *,
        model: Model | None = None,
        gate: GateConfig | None = None,
        decision: DecisionConfig | None = None,
        echo: float | None = ECHO_SECONDS,
        patience: float = PATIENCE_SECONDS,
        perception: Callable[[EmotionResult], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._reader = VoiceReader(model, gate, decision)
        self._echo = echo
        self._patience = patience
        self._perception = perception
        self._silent = asyncio.Event()
        """Set unless the framework's detector says that the user speaks."""
        self._silent.set()
        self._user_id: str | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take what the reader needs from a frame, and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame) and direction is FrameDirection.DOWNSTREAM and frame.text.strip():
            await self._transcribed(frame)
            return
        self._note(frame)
        if isinstance(frame, EndFrame | CancelFrame):
            await self._reader.close()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """End the recognition with the pipeline, however it ends."""
        await super().cleanup()
        await self._reader.close()

    def _note(self, frame: Frame) -> None:
        match frame:
            case InputAudioRawFrame():
                self._hear(frame)
            case StartFrame():
                self._reader.reset()
                self._silent.set()
            case VADUserStartedSpeakingFrame():
                self._silent.clear()
            case VADUserStoppedSpeakingFrame():
                self._silent.set()
            case UserStartedSpeakingFrame() | InterruptionFrame():
                # A new turn: what was read before and went with no words is not of it.
                self._reader.forget()
            case BotStartedSpeakingFrame() if self._echo is not None:
                self._reader.hold()
            case BotStoppedSpeakingFrame() if self._echo is not None:
                self._reader.release(self._echo)

    def _hear(self, frame: InputAudioRawFrame) -> None:
        user_id = getattr(frame, "user_id", None)
        if user_id != self._user_id:
            self._user_id = user_id
            self._reader.reset()
        self._reader.push(frame.audio, frame.sample_rate, frame.num_channels)

    async def _transcribed(self, frame: TranscriptionFrame) -> None:
        """Pass a transcription on, with the reading of the speech that it is of."""
        final = None
        try:
            # Some transcribers are faster than the detector of the end of speech.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._silent.wait()
            # Where the user still speaks, the speech that these words are of is not over: later words get the reading.
            if self._silent.is_set():
                final = await self._reader.reading(self._patience)
        finally:
            # Also where an interruption ends the wait: the words must not be lost with the reading.
            await self._attach(frame, final)

    async def _attach(self, frame: TranscriptionFrame, final: EmotionResult | None) -> None:
        message = message_of(final)
        if final is not None and message is not None:
            if self._perception is not None and any(each.name == "perception" for each in dataclasses.fields(frame)):
                frame.perception = self._perception(final)
            else:
                messages = [{"role": "developer", "content": message}]
                await self.push_frame(LLMMessagesAppendFrame(messages=messages, run_llm=False))
        await self.push_frame(frame)
