"""A real session of LiveKit agents without a room: recordings as its audio, a transcriber that knows the words, and in
place of the language model what it would read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference, llm, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import AudioInput

from ser_model.types import SAMPLE_RATE, Samples

WAIT = 20.0
"""Time limit in seconds, many times what is needed."""


class Microphone(AudioInput):  # type: ignore[misc]
    """Audio that a test says."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    async def say(self, samples: Samples, speed: float = 4.0) -> None:
        """Send audio, shape (n,), faster than it is spoken."""
        step = SAMPLE_RATE // 50
        for start in range(0, len(samples), step):
            piece = samples[start : start + step]
            self._frames.put_nowait(rtc.AudioFrame(piece.tobytes(), SAMPLE_RATE, 1, len(piece)))
            await asyncio.sleep(0.02 / speed)

    async def silence(self, seconds: float) -> None:
        await self.say(np.zeros(round(seconds * SAMPLE_RATE), np.int16))


class Transcriber(stt.STT):  # type: ignore[misc]
    """Knows what is said; the framework's own detector says when it was said."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._words = list(words)

    async def _recognize_impl(self, buffer: Any, *, language: Any, conn_options: Any) -> stt.SpeechEvent:
        text = self._words.pop(0) if self._words else ""
        alternatives = [stt.SpeechData(language="en", text=text)]
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=alternatives)


class Reader(llm.LLM):  # type: ignore[misc]
    """Stands for the language model: keeps what it is asked to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.read: asyncio.Queue[list[tuple[str, str]]] = asyncio.Queue()

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, **_options: Any) -> llm.LLMStream:
        self.read.put_nowait([(item.role, item.text_content) for item in chat_ctx.items if item.type == "message"])
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=DEFAULT_API_CONNECT_OPTIONS)


class _Answer(llm.LLMStream):  # type: ignore[misc]
    async def _run(self) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=llm.ChoiceDelta(role="assistant", content="Yes.")))


class Call:
    """A session that runs."""

    def __init__(self, agent: Agent, words: Sequence[str]) -> None:
        self.agent = agent
        self.microphone = Microphone()
        self.reader = Reader()
        self.session: AgentSession[None] = AgentSession(
            stt=Transcriber(words),
            vad=inference.VAD(model="silero"),
            llm=self.reader,
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": 0.1, "max_delay": 0.2},
                "preemptive_generation": {"enabled": False},
            },
        )
        self.session.input.audio = self.microphone

    async def heard(self) -> list[tuple[str, str]]:
        """Return role and text of the messages that the language model is asked to answer next."""
        async with asyncio.timeout(WAIT):
            return await self.reader.read.get()


@asynccontextmanager
async def call(agent: Agent, *words: str) -> AsyncIterator[Call]:
    """Run a session until the block ends."""
    running = Call(agent, words)
    await running.session.start(agent)
    try:
        yield running
    finally:
        async with asyncio.timeout(WAIT):
            await running.session.aclose()
