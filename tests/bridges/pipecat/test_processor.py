"""`SerPerceptionProcessor` in a real pipeline: what a language model would read."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest

pytest.importorskip("pipecat", reason="Pipecat is not installed (extra pipecat)")

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from ser_bridges.perception.prompt import as_text
from ser_bridges.perception.reader import _thread
from ser_bridges.pipecat import SerPerceptionProcessor
from ser_model.types import SAMPLE_RATE, EmotionResult, Samples
from support.pipecat_call import WAIT, Call, call

NEUTRAL, ANGRY, FEARFUL = 0, 6, 8
"""Recordings for which the result is `unknown`, `angry`, and high arousal."""


def said(*messages: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in (("system", "Be brief."), *messages)]


async def one_turn(running: Call, samples: Samples) -> list[dict[str, Any]]:
    await running.say(samples)
    await running.silence(0.5)
    return await running.heard()


async def test_the_language_model_reads_how_each_turn_sounded(recordings: list[Samples]) -> None:
    async with call(SerPerceptionProcessor(), "Good morning.", "Why is it so late?", "Is somebody there?") as running:
        for number in (NEUTRAL, ANGRY, FEARFUL):
            read = await one_turn(running, recordings[number])
    roles = [message["role"] for message in read]
    assert roles == ["system", "user", "developer", "user", "developer", "user"]
    assert [read[at]["content"] for at in (1, 3, 5)] == ["Good morning.", "Why is it so late?", "Is somebody there?"]
    angry, fearful = read[2]["content"], read[4]["content"]
    assert angry.startswith("How the user's next message sounded: [emotion angry=0.")
    assert "],[arousal value=0." in angry
    assert "[arousal value=0." in fearful


async def test_the_bots_own_speech_and_its_echo_say_nothing_of_the_user(recordings: list[Samples]) -> None:
    processor = SerPerceptionProcessor(echo=1.0)
    async with call(processor, "", "Good morning.") as running:
        await running.send(BotStartedSpeakingFrame(), FrameDirection.UPSTREAM)
        await running.say(recordings[ANGRY][: 3 * SAMPLE_RATE])
        await running.send(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)
        await running.say(recordings[ANGRY][3 * SAMPLE_RATE :])
        await running.send(TranscriptionFrame("Hello.", "user", ""))
        assert await running.heard() == said(("user", "Hello."))


async def test_with_echo_none_the_user_is_heard_over_the_bot(recordings: list[Samples]) -> None:
    async with call(SerPerceptionProcessor(echo=None), "Stop it.") as running:
        await running.send(BotStartedSpeakingFrame(), FrameDirection.UPSTREAM)
        read = await one_turn(running, recordings[ANGRY])
    assert [message["role"] for message in read] == ["system", "developer", "user"]


@pytest.mark.parametrize("frame", [UserStartedSpeakingFrame, InterruptionFrame])
async def test_what_was_read_of_an_earlier_turn_is_forgotten(recordings: list[Samples], frame: type[Frame]) -> None:
    async with call(SerPerceptionProcessor(), "") as running:
        await running.say(recordings[ANGRY])
        await running.silence(1.0)
        await running.send(frame())
        await running.send(TranscriptionFrame("Good morning.", "user", ""))
        assert await running.heard() == said(("user", "Good morning."))


async def test_words_are_not_lost_when_an_interruption_ends_the_wait_for_a_reading(recordings: list[Samples]) -> None:
    async with call(SerPerceptionProcessor(patience=WAIT), "") as running:
        await running.say(recordings[NEUTRAL][:SAMPLE_RATE])
        busy = asyncio.get_running_loop().run_in_executor(_thread(), time.sleep, 1.0)
        await running.send(TranscriptionFrame("Good morning.", "user", ""))
        await asyncio.sleep(0.2)
        await running.send(InterruptionFrame())
        read = await running.heard()
        assert not busy.done()
        await busy
    assert read == said(("user", "Good morning."))


async def test_words_that_come_before_the_end_of_speech_is_detected_get_the_reading(recordings: list[Samples]) -> None:
    async with call(SerPerceptionProcessor(patience=2.0), "") as running:
        await running.say(recordings[ANGRY])
        await running.send(VADUserStartedSpeakingFrame())
        await running.send(TranscriptionFrame("Good morning.", "user", ""))
        await asyncio.sleep(0.2)
        assert not [frame for frame in running.reader.frames if isinstance(frame, LLMMessagesAppendFrame)]
        await running.send(VADUserStoppedSpeakingFrame())
        assert [message["role"] for message in await running.heard()] == ["system", "developer", "user"]


async def test_words_in_the_middle_of_speech_are_passed_on_and_later_ones_get_the_reading(
    recordings: list[Samples],
) -> None:
    async with call(SerPerceptionProcessor(patience=0.1), "") as running:
        await running.say(recordings[ANGRY])
        await running.send(VADUserStartedSpeakingFrame())
        await running.send(TranscriptionFrame("Good", "user", ""))
        await asyncio.sleep(0.3)
        await running.send(VADUserStoppedSpeakingFrame())
        await running.send(TranscriptionFrame("morning.", "user", ""))
        read = await running.heard()
    assert [message["role"] for message in read] == ["system", "developer", "user"]
    assert read[-1]["content"] == "Good morning."


async def test_a_slow_machine_delays_words_by_no_more_than_patience(recordings: list[Samples]) -> None:
    async with call(SerPerceptionProcessor(patience=0.1), "") as running:
        await running.say(recordings[ANGRY])
        await running.silence(0.5)
        busy = asyncio.get_running_loop().run_in_executor(_thread(), time.sleep, 1.0)
        await running.send(TranscriptionFrame("Good morning.", "user", ""))
        assert await running.heard() == said(("user", "Good morning."))
        assert not busy.done()
        await busy


@pytest.mark.parametrize("frame", [EndFrame, CancelFrame])
async def test_a_pipeline_ends_in_mid_utterance(recordings: list[Samples], frame: type[Frame]) -> None:
    processor = SerPerceptionProcessor()
    async with call(processor, "") as running:
        await running.say(recordings[ANGRY][: 2 * SAMPLE_RATE], speed=50)
        await running.send(frame())
        async with asyncio.timeout(WAIT):
            while not running.worker.has_finished():
                await asyncio.sleep(0.01)
    assert processor._reader._task is None


@dataclasses.dataclass
class WithPerception(TranscriptionFrame):
    """As in later versions of the framework, which cannot be installed here."""

    perception: Any = None


async def test_a_transcription_with_a_perception_of_its_own_gets_it(recordings: list[Samples]) -> None:
    def make(final: EmotionResult) -> str:
        return f"perceived: {as_text(final)}"

    async with call(SerPerceptionProcessor(perception=make), "") as running:
        await running.say(recordings[ANGRY])
        frame = WithPerception("Good morning.", "user", "")
        await running.send(frame)
        assert await running.heard() == said(("user", "Good morning."))
    assert frame.perception.startswith("perceived: [emotion angry=0.")
    assert not [frame for frame in running.reader.frames if isinstance(frame, LLMMessagesAppendFrame)]


async def test_another_user_is_another_stream(recordings: list[Samples]) -> None:
    from pipecat.frames.frames import UserAudioRawFrame

    async with call(SerPerceptionProcessor(), "") as running:
        audio = recordings[ANGRY].tobytes()
        await running.send(UserAudioRawFrame(audio=audio, sample_rate=SAMPLE_RATE, num_channels=1, user_id="ann"))
        await running.send(UserAudioRawFrame(audio=b"\0" * 640, sample_rate=SAMPLE_RATE, num_channels=1, user_id="bob"))
        await running.send(TranscriptionFrame("Good morning.", "bob", ""))
        assert await running.heard() == said(("user", "Good morning."))
