"""Clients that subscribe to a daemon's events, over its restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event

from support.daemon import Daemon
from support.speech import sentence
from support.wyoming_bridge import WyomingBridge

SPEECH = np.concatenate([np.zeros(8_000, np.int16), sentence(), np.zeros(16_000, np.int16)])


async def until(client: AsyncClient, kind: str) -> list[Event]:
    """Return the events up to one of a type, which comes last."""
    events: list[Event] = []
    while not events or events[-1].type != kind:
        event = await client.read_event()
        assert event is not None, "the service closed the connection"
        events.append(event)
    return events


def daemon_in(folder: Path) -> Daemon:
    return Daemon("--mic", "stdin", "--rate", "16000", feed=True, folder=folder)


async def test_subscribers_get_what_they_asked_for_over_a_restart_of_the_daemon(tmp_path: Path) -> None:
    with WyomingBridge("--events", "--socket", str(tmp_path / "ser.sock")) as bridge:
        async with bridge.client() as everything, bridge.client() as some:
            await everything.write_event(Event("subscribe"))
            loss = (await until(everything, "error"))[-1]
            assert Error.from_event(loss).code == "no-daemon"
            assert Error.from_event(loss).text.startswith("No daemon is running")
            with daemon_in(tmp_path) as daemon:
                hello = (await until(everything, "hello"))[-1]
                assert hello.data["model"] == "reslstm-sa-h64"
                await some.write_event(Event("subscribe", {"partial": False, "events": ["emotion"]}))
                assert (await until(some, "hello"))[0].data == hello.data
                daemon.write(SPEECH)
                heard = await until(everything, "voice-stopped")
                finals = [event for event in heard if event.type == "emotion" and event.data["final"]]
                assert len(finals) == 1
                assert len(heard) >= 4
                assert [event.data for event in await until(some, "emotion")] == [finals[0].data]
            for client in (everything, some):
                assert Error.from_event((await until(client, "error"))[-1]).code == "no-daemon"
            with daemon_in(tmp_path) as daemon:
                for client in (everything, some):
                    await until(client, "hello")
                daemon.write(SPEECH)
                assert [event.data["final"] for event in await until(some, "emotion")] == [True]


async def test_subscribers_learn_of_a_muted_daemon(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon, WyomingBridge("--events", "--socket", str(tmp_path / "ser.sock")) as bridge:
        async with bridge.client() as before, bridge.client() as after:
            await before.write_event(Event("subscribe", {"events": ["audio-state"]}))
            assert (await until(before, "hello"))[-1].data["muted"] is False
            daemon.controller().request("mute")
            while (await until(before, "audio-state"))[-1].data["state"] != "muted":
                pass
            await after.write_event(Event("subscribe"))
            await until(after, "hello")
            daemon.controller().request("unmute")
            for client in (before, after):
                assert (await until(client, "audio-state"))[-1].data["state"] == "listening"


async def test_a_filter_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with WyomingBridge("--events", "--socket", str(tmp_path / "ser.sock")) as bridge:
        async with bridge.client() as client:
            await client.write_event(Event("subscribe", {"events": ["level"]}))
            error = Error.from_event((await until(client, "error"))[-1])
    assert error.code == "bad-request"
    assert error.text.startswith("events must be a list out of voice-started")


async def test_nobody_connects_to_the_daemon_before_somebody_subscribes(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        probe = daemon.subscribe()
        with WyomingBridge("--events", "--socket", str(tmp_path / "ser.sock")) as bridge:
            before = probe.request("metrics")["data"]["subscribers"]
            async with bridge.client() as client:
                await client.write_event(Event("subscribe"))
                await until(client, "hello")
                assert probe.request("metrics")["data"]["subscribers"] == before + 1
