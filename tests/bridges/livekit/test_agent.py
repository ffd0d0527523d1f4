"""`SerPerceptionAgent` in a real session: what a language model would read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("livekit.agents", reason="LiveKit agents is not installed (extra livekit)")

from livekit.agents import AgentStateChangedEvent

from ser_bridges.livekit import SerPerceptionAgent
from ser_model import read_audio
from ser_model.types import SAMPLE_RATE, Samples
from support.demo import write_demo_recordings
from support.livekit_call import Call, call

NEUTRAL, ANGRY = 0, 6
"""Recordings for which the result is `unknown` and `angry`."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    folder: Path = tmp_path_factory.mktemp("demo")
    return [read_audio(str(path)) for path, _ in write_demo_recordings(folder)]


def agent(**options: float | None) -> SerPerceptionAgent:
    return SerPerceptionAgent(instructions="Be brief.", **options)


async def one_turn(running: Call, samples: Samples) -> list[tuple[str, str]]:
    await running.microphone.say(samples)
    await running.microphone.silence(1.0)
    return await running.heard()


async def test_the_language_model_reads_how_each_turn_sounded(recordings: list[Samples]) -> None:
    async with call(agent(), "Good morning.", "Why is it so late?", "Good night.") as running:
        first = await one_turn(running, recordings[NEUTRAL])
        second = await one_turn(running, recordings[ANGRY])
        third = await one_turn(running, recordings[NEUTRAL])
    assert first == [("system", "Be brief."), ("user", "Good morning.")]
    role, line = second[-2]
    assert role == "developer"
    assert line.startswith("How the user's next message sounded: [emotion angry=0.")
    assert second[-1] == ("user", "Why is it so late?")
    assert third[-1] == ("user", "Good night.")
    assert [role for role, _ in third].count("developer") == 0, "a reading is for one reply"


async def test_the_agents_own_speech_says_nothing_of_the_user(recordings: list[Samples]) -> None:
    async with call(agent(echo=0.2), "Hello.", "Good morning.") as running:
        await running.microphone.silence(0.2)
        running.session.emit("agent_state_changed", AgentStateChangedEvent(old_state="listening", new_state="speaking"))
        await running.microphone.say(recordings[ANGRY])
        running.session.emit("agent_state_changed", AgentStateChangedEvent(old_state="speaking", new_state="listening"))
        await running.microphone.silence(1.0)
        assert [role for role, _ in await running.heard()] == ["system", "user"]


async def test_speech_without_words_is_forgotten_when_the_agent_speaks(recordings: list[Samples]) -> None:
    async with call(agent(echo=None), "", "Good morning.") as running:
        await running.microphone.say(recordings[ANGRY])
        await running.microphone.silence(1.0)
        running.session.emit("agent_state_changed", AgentStateChangedEvent(old_state="listening", new_state="speaking"))
        assert [role for role, _ in await one_turn(running, recordings[NEUTRAL])] == ["system", "user"]


async def test_a_session_ends_in_mid_utterance(recordings: list[Samples]) -> None:
    hearing = agent()
    async with call(hearing, "Hello.") as running:
        await running.microphone.say(recordings[ANGRY][: 2 * SAMPLE_RATE], speed=50)
    await asyncio.sleep(0)
    assert hearing._voice._task is None or hearing._voice._task.done()
