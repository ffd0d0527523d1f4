"""A real pipeline of Pipecat: recordings as audio frames, a transcriber that knows the words, the framework's own
context aggregators, and in place of the language model what it would read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from ser_model.types import SAMPLE_RATE, Samples

WAIT = 20.0
"""Time limit in seconds, many times what is needed."""

FRAME_MS = 20
"""Audio in a frame, as transports send it."""


class Transcriber(FrameProcessor):  # type: ignore[misc]
    """Knows what is said, and says it after each speech, as services do that wait for the end of speech."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self._words = list(words)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame) and self._words:
            await self.push_frame(TranscriptionFrame(self._words.pop(0), "user", "2026-01-01T00:00:00Z"))


class Reader(FrameProcessor):  # type: ignore[misc]
    """Stands for the language model: keeps the messages of each context that it is asked to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.read: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            self.frames.append(frame)
        if isinstance(frame, LLMContextFrame):
            self.read.put_nowait([dict(message) for message in frame.context.get_messages()])
        await self.push_frame(frame, direction)


class Call:
    """A pipeline that runs."""

    def __init__(self, processor: FrameProcessor, words: Sequence[str]) -> None:
        self.processor = processor
        self.context = LLMContext([{"role": "system", "content": "Be brief."}])
        # Without the model of the framework that guesses whether a turn is over: its tests are not these.
        strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.2)])
        pair = LLMContextAggregatorPair(
            self.context,
            user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=strategies),
        )
        self.reader = Reader()
        pipeline = Pipeline([Transcriber(words), processor, pair.user(), self.reader, pair.assistant()])
        self.worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )
        self.started = asyncio.Event()
        self.worker.event_handler("on_pipeline_started")(self._on_started)

    async def _on_started(self, _worker: PipelineWorker, _frame: StartFrame) -> None:
        self.started.set()

    async def say(self, samples: Samples, rate: int = SAMPLE_RATE, channels: int = 1, speed: float = 4.0) -> None:
        """Send audio, shape (n,) or (n, channels), faster than it is spoken."""
        step = rate * FRAME_MS // 1000
        for start in range(0, len(samples), step):
            piece = samples[start : start + step].tobytes()
            await self.send(InputAudioRawFrame(audio=piece, sample_rate=rate, num_channels=channels))
            await asyncio.sleep(FRAME_MS / 1000 / speed)

    async def silence(self, seconds: float) -> None:
        await self.say(np.zeros(round(seconds * SAMPLE_RATE), np.int16))

    async def send(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        await self.worker.queue_frame(frame, direction)

    async def heard(self) -> list[dict[str, Any]]:
        """Return the messages of the next context that the language model is asked to answer."""
        async with asyncio.timeout(WAIT):
            return await self.reader.read.get()


@asynccontextmanager
async def call(processor: FrameProcessor, *words: str) -> AsyncIterator[Call]:
    """Run a pipeline until the block ends; it is cancelled then, unless it has ended by itself."""
    running = Call(processor, words)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(running.worker)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(WAIT):
            await running.started.wait()
        yield running
    finally:
        await running.worker.cancel()
        async with asyncio.timeout(WAIT):
            await task
