"""The bridges: bytes of Wyoming clients, messages of an MQTT broker, and a settings file."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st

from fuzz.files import folder
from fuzz.invariants import check_sentence, require
from fuzz.strategies import extremes, odd_texts, scalars, sizes, to_json, to_text, values
from fuzz.target import register
from fuzz.targets.protocol import to_bytes
from ser_bridges.mqtt.cli import build_parser
from ser_bridges.mqtt.commands import LONGEST_HOLD, carry_out
from ser_bridges.mqtt.settings import COMMANDS, KEYS, read_password, read_settings
from ser_daemon.wire.payload_stream import EventHead, FramingError, PayloadStream
from ser_model.errors import SerError

formats = st.fixed_dictionaries(
    {
        "rate": st.sampled_from([8_000, 16_000, 44_100, 384_000]) | scalars,
        "width": st.integers(1, 4) | scalars,
        "channels": st.integers(1, 3) | scalars,
    }
)
events = st.one_of(
    st.tuples(st.sampled_from(["audio-start", "audio-chunk", "audio-chunk", "audio-stop"]), formats, sizes),
    st.tuples(
        st.sampled_from(["describe", "detect", "ping", "subscribe", "transcribe"]) | odd_texts,
        st.dictionaries(st.sampled_from(["text", "events", "partial"]), values, max_size=2),
        sizes,
    ),
).map(lambda event: ("wyoming", {"type": event[0]}, event[1], event[2]))
pieces = st.one_of(
    events,
    events,
    events,
    st.tuples(st.just("json"), st.fixed_dictionaries({"type": odd_texts}, optional={"payload_length": scalars})),
    st.tuples(st.just("bytes"), st.binary(max_size=30)),
    st.tuples(st.just("unended"), st.binary(max_size=20)),
)
streams = st.lists(pieces, min_size=1, max_size=6)


@register("wyoming-events", st.tuples(streams, st.integers(1, 70_000)), quick=150, seconds=2.0, needs="wyoming")
def check_events(example: tuple[list[Any], int]) -> None:
    """The reader gives the same events and payloads for any pieces, and ends what is no event with a sentence."""
    stream, piece = b"".join(map(to_bytes, example[0])), example[1]
    whole = _read(stream, len(stream) + 1)
    parts = _read(stream, max(piece, len(stream) // 100 + 1))
    require(whole == parts, "other events in pieces", f"{whole!r:.200} and {parts!r:.200}")


def _read(stream: bytes, piece: int) -> list[Any]:
    """Return heads and the whole payloads after them; an error counts as an event."""
    reader, found = PayloadStream(), []
    try:
        for at in range(0, len(stream), piece):
            reader.feed(stream[at : at + piece])
            while (item := reader.take()) is not None:
                if isinstance(item, EventHead):
                    found += [item, b""]
                else:
                    found[-1] += item
    except FramingError as error:
        check_sentence(error)
        found.append(str(error))
    return found


class _Deaf:
    """Stands for a recognizer: what the network makes of samples is not what is checked."""

    def push(self, samples: object) -> list[Any]:
        return []

    def finish(self) -> list[Any]:
        return []


class _Settings:
    def recognizer(self) -> _Deaf:
        return _Deaf()


class _AtOnce:
    """Workers that work when they are asked to."""

    def submit(self, job: Any) -> None:
        while job.take_turn():
            pass


@register("wyoming-client", streams, quick=60, seconds=3.0, needs="wyoming")
def check_client(example: list[Any]) -> None:
    """A client of the service gets events that the official package reads, and the connection ends when it ends."""
    asyncio.run(_serve(b"".join(map(to_bytes, example))))


async def _serve(stream: bytes) -> None:
    from wyoming.event import async_read_event

    from ser_bridges.wyoming.connection import Connection, Shared

    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    client_reader, client_writer = await asyncio.open_unix_connection(sock=theirs)
    shared = Shared(cast(Any, _Settings()), cast(Any, _AtOnce()), b'{"type":"info"}\n', None)
    connection = Connection(shared, reader, writer)
    serving = asyncio.create_task(connection.serve())
    client_writer.write(stream)
    client_writer.write_eof()
    # The service may end the connection before it has read everything.
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):
            while (event := await async_read_event(client_reader)) is not None:
                if event.type == "error":
                    check_sentence(SerError(str(event.data.get("text"))))
        await serving
    client_writer.close()
    for each in (client_writer, writer):
        with contextlib.suppress(OSError):
            await each.wait_closed()


@dataclass(frozen=True)
class _Message:
    topic: str
    payload: bytes
    retain: bool


class _Daemon:
    """Takes control verbs and notes them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def control(self, verb: str, **data: Any) -> dict[str, Any]:
        self.calls.append((verb, data))
        return {}


names = st.sampled_from(["mute", "hold", "release", "reset-adaptation", "label"]) | odd_texts
payloads = st.one_of(
    st.sampled_from(["ON", "OFF", "", "2500", "-1", "1e3", "٣", "3600001"]), odd_texts, extremes, st.binary(max_size=20)
)
commands = st.tuples(names, payloads, st.booleans(), st.sets(st.sampled_from(COMMANDS)))


@register("mqtt-command", st.lists(commands, min_size=1, max_size=8), quick=200, seconds=2.0)
def check_command(example: list[Any]) -> None:
    """A message of the broker is carried out only where its verb is allowed and its data is what the daemon takes."""
    daemon = _Daemon()
    for name, payload, retained, allowed in example:
        daemon.calls.clear()
        raw = payload if isinstance(payload, bytes) else to_text(payload).encode("utf-8", "surrogatepass")
        message = _Message(f"ser-daemon/kitchen/x/command/{name}", raw, retained)
        done = asyncio.run(carry_out(message, cast(Any, daemon), allowed))
        require(done == (len(daemon.calls) == 1), "said to be done", repr(example))
        for verb, data in daemon.calls:
            require(verb in allowed and not retained, "carried out what is not allowed", verb)
            require(1 <= data.get("ms", 1) <= LONGEST_HOLD, "a hold out of range", str(data))


settings_files = st.one_of(
    st.dictionaries(st.sampled_from(KEYS) | odd_texts, values, max_size=5),
    st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from(["broker", "a/b", "../x", "/dev/null", 1883, True, ["mute"], []]) | odd_texts,
        max_size=8,
    ),
    values,
)


@register("mqtt-settings", settings_files, quick=150, seconds=2.0)
def check_settings(example: Any) -> None:
    """A settings file is read, or one sentence says what is wrong with it."""
    with folder() as place:
        path = Path(place) / "mqtt.yaml"
        path.write_bytes(to_json(example).encode("utf-8", "surrogatepass"))
        try:
            settings = read_settings(build_parser().parse_args(["--config", str(path)]))
            require(settings.topics.base.count("/") >= 2, "topics without room and id", settings.topics.base)
            read_password(settings)
        except (SerError, OSError) as error:
            check_sentence(error if isinstance(error, SerError) else SerError(str(error)))
