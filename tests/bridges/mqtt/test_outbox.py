"""What waits for the broker."""

from __future__ import annotations

import asyncio
import json

from ser_bridges.mqtt.outbox import BUSY, Message, Outbox


async def drain(outbox: Outbox) -> list[Message]:
    messages = []
    while len(outbox):
        key, message = await outbox.first()
        outbox.sent(key, message)
        messages.append(message)
    return messages


async def test_a_state_replaces_the_one_before_it_and_results_keep_their_order() -> None:
    outbox = Outbox()
    outbox.state(Message("speaking", "ON", retain=True))
    outbox.result(Message("utterance", {"n": 1}))
    outbox.state(Message("speaking", "OFF", retain=True))
    outbox.result(Message("utterance", {"n": 2}))
    contents = [message.content for message in await drain(outbox)]
    assert contents == [{"n": 1}, "OFF", {"n": 2}]


async def test_the_oldest_result_goes_where_there_are_too_many_and_is_counted() -> None:
    outbox = Outbox(most_results=3)
    outbox.state(Message("mute", "ON"))
    for number in range(10):
        outbox.result(Message("utterance", {"n": number}))
    assert (len(outbox), outbox.lost) == (4, 7)
    assert [message.content for message in await drain(outbox)] == ["ON", {"n": 7}, {"n": 8}, {"n": 9}]
    outbox.result(Message("utterance", {"n": 10}))
    assert outbox.lost == 7


async def test_partials_are_left_out_where_they_would_wait() -> None:
    outbox = Outbox()
    outbox.partial(Message("partial", {"n": 0}))
    assert (len(outbox), outbox.partials_dropped) == (0, 1)
    outbox.online = True
    for number in range(BUSY + 5):
        outbox.partial(Message("partial", {"n": number}))
    assert (len(outbox), outbox.partials_dropped) == (BUSY, 6)
    outbox.result(Message("utterance", {"n": 1}))
    outbox.drop_partials()
    assert (len(outbox), outbox.partials_dropped) == (1, 6 + BUSY)


async def test_a_message_stays_until_the_broker_has_taken_it() -> None:
    outbox = Outbox()
    outbox.state(Message("mute", "ON"))
    key, message = await outbox.first()
    assert (await outbox.first())[1] is message
    # It changes while it is on its way: the new one is not forgotten.
    outbox.state(Message("mute", "OFF"))
    outbox.sent(key, message)
    assert [message.content for message in await drain(outbox)] == ["OFF"]


async def test_what_is_announced_comes_first() -> None:
    outbox = Outbox()
    outbox.result(Message("utterance", {"n": 1}))
    outbox.state(Message("mute", "ON"))
    outbox.announce([Message("config", {}), Message("mute", "ON"), Message("status", "online")])
    assert [message.topic for message in await drain(outbox)] == ["config", "mute", "status", "utterance"]


async def test_first_waits_for_a_message() -> None:
    outbox = Outbox()
    waiting = asyncio.ensure_future(outbox.first())
    await asyncio.sleep(0)
    outbox.state(Message("mute", "ON"))
    assert (await asyncio.wait_for(waiting, 5))[1].content == "ON"


def test_a_result_that_waited_says_for_how_long() -> None:
    message = Message("utterance", {"label": "sad"}, made=100.0)
    assert json.loads(message.payload(103.5)) == {"label": "sad", "late_ms": 3500}
    assert Message("microphone", {"state": "muted"}, retain=True).payload(0) == '{"state":"muted"}'
