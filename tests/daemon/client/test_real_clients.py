"""Clients that are not part of this project: socat, jq and Wyoming's own."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

needs_socat = pytest.mark.skipif(shutil.which("socat") is None, reason="socat is not installed")
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


@needs_socat
@needs_jq
async def test_socat_and_jq_print_the_stream_with_their_input_closed(wire, started, emotion):
    script = f"socat -t 30 - UNIX:{wire.path} </dev/null | jq --unbuffered -c '[.type, .data.seq]'"
    process = await asyncio.create_subprocess_shell(script, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(20):
        assert json.loads(await process.stdout.readline()) == ["hello", 0]
        for seq, event in enumerate((started, emotion(), emotion(final=True)), 1):
            wire.publisher.publish(event)
            assert json.loads(await process.stdout.readline()) == [event.type, seq]
        await wire.server.close()
        assert await process.wait() == 0


@needs_socat
async def test_a_request_through_socat_is_answered_and_ends(wire):
    script = f"""echo '{{"type":"status"}}' | socat -t 30 - UNIX:{wire.path}"""
    process = await asyncio.create_subprocess_shell(script, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert [json.loads(line)["type"] for line in output.splitlines()] == ["hello", "status"]


async def test_wyomings_client_reads_info_pings_and_listens(wire, started, stopped):
    wyoming = pytest.importorskip("wyoming.client")
    from wyoming.error import Error
    from wyoming.event import Event
    from wyoming.info import Describe, Info
    from wyoming.ping import Ping, Pong
    from wyoming.vad import VoiceStarted, VoiceStopped

    async def read(client):
        event = await asyncio.wait_for(client.read_event(), 10)
        assert event is not None
        return event

    async with wyoming.AsyncClient.from_uri(f"unix://{wire.path}") as client:
        assert (await read(client)).type == "hello"
        await client.write_event(Describe().event())
        assert Info.from_event(await read(client)).asr == []
        await client.write_event(Ping(text="with a data block").event())
        assert Pong.from_event(await read(client)).text == "with a data block"
        await client.write_event(Event("audio-chunk", {"rate": 16000}, payload=b"\n{}\n" * 1000))
        assert Error.from_event(await read(client)).code == "unknown-type"
        await client.write_event(Event("subscribe", {"events": ["voice-started", "voice-stopped"]}))
        assert (await read(client)).type == "subscribed"
        wire.publisher.publish(started)
        wire.publisher.publish(stopped)
        assert VoiceStarted.from_event(await read(client)).timestamp == 182340
        assert VoiceStopped.from_event(await read(client)).timestamp == 187100
