"""The protocol: the parser, the answers, and whole servers with hostile clients, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.files import folder
from fuzz.invariants import require
from fuzz.strategies import extremes, grown, objects, odd_texts, scalars, sizes, to_json, to_text, values
from fuzz.target import Finding, register
from ser_daemon.wire.events import PUBLISHED, AudioState, VoiceStopped
from ser_daemon.wire.framing import MAX_LINE, BadLine, LineParser, Message
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES, CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.request_fields import RequestError, check_id, parse_filter
from ser_daemon.wire.requests import RequestHandler, encode_error
from ser_daemon.wire.server import Server, Status
from ser_model.errors import SerError
from ser_model.labels import LABELS

FIELDS = ["id", "text", "events", "partial", "min_confidence", "ms", "utterance_id", "label", "start", "type", "data"]

lengths = st.one_of(sizes, scalars)
types = st.one_of(st.sampled_from(QUERIES), st.sampled_from(CONTROL_VERBS), odd_texts, scalars)
ids = st.one_of(st.integers(0, 9), st.text(max_size=5), extremes, values)
filters = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 9) | extremes,
        "events": st.lists(st.sampled_from(PUBLISHED) | scalars, max_size=6) | values,
        "partial": st.booleans() | values,
        "min_confidence": st.floats(0, 1, allow_subnormal=False) | scalars,
        "ms": sizes | scalars,
        "text": st.text(max_size=5) | extremes | scalars,
    },
)
corrections = st.fixed_dictionaries(
    {},
    optional={
        "utterance_id": st.just("last") | st.integers(-1, 300).map("u-{}".format) | odd_texts | values,
        "label": st.sampled_from((*LABELS, "unknown")) | odd_texts | values,
        "start": sizes | scalars,
    },
)
almost_valid = st.fixed_dictionaries(
    {"type": st.sampled_from(QUERIES + CONTROL_VERBS)},
    optional={"id": st.integers(0, 9) | st.text(max_size=5), "data": filters | corrections},
)
wild = st.fixed_dictionaries(
    {"type": types},
    optional={
        "id": ids,
        "data": filters | objects(FIELDS) | scalars,
        "data_length": lengths,
        "payload_length": lengths,
    },
)
lines = st.one_of(
    st.tuples(st.just("json"), almost_valid),
    st.tuples(st.just("json"), almost_valid),
    st.tuples(st.just("json"), wild),
    st.tuples(st.just("wyoming"), almost_valid, filters | objects(FIELDS), sizes),
    st.tuples(st.just("wyoming"), wild, filters | objects(FIELDS), sizes),
    st.tuples(st.just("text"), values),
    st.tuples(st.just("bytes"), st.binary(max_size=30)),
    st.tuples(st.just("unended"), st.binary(max_size=20) | grown.map(to_text).map(lambda text: text[:64].encode())),
)
streams = st.lists(lines, min_size=1, max_size=6)
"""What a client sends; see `to_bytes`."""


def to_bytes(line: tuple[Any, ...]) -> bytes:
    """The bytes of one line of a stream."""
    match line:
        case ("json", header):
            return to_json(header).encode("utf-8", "surrogatepass") + b"\n"
        case ("wyoming", header, data, payload):
            block = to_json(data).encode("utf-8", "surrogatepass")
            header = {**header, "data_length": len(block), "payload_length": payload}
            return to_json(header).encode("utf-8", "surrogatepass") + b"\n" + block + b"\0" * payload
        case ("text", value):
            return to_json(value).encode("utf-8", "surrogatepass") + b"\n"
        case ("bytes", bytes(content)):
            return content + b"\n"
        case ("unended", bytes(content)):
            return content
    raise ValueError(line)


def check_answer(line: bytes) -> dict[str, Any]:
    """Check one line from the daemon."""
    require(len(line) <= MAX_LINE, "answer over 32 KiB", f"{len(line)} bytes: {line[:100]!r}")
    require(line.endswith(b"\n") and line.count(b"\n") == 1, "answer is not one line", repr(line[:100]))
    answer = json.loads(line)
    require(isinstance(answer, dict) and isinstance(answer.get("type"), str), "answer has no type", repr(line[:100]))
    return answer


@register("parser", st.tuples(streams, st.integers(1, 70_000)), quick=150, seconds=2.0)
def check_parser(example: tuple[list[Any], int]) -> None:
    """The parser never raises, keeps a bounded buffer, and gives the same messages for any pieces."""
    stream, piece = b"".join(map(to_bytes, example[0])), example[1]
    whole = _parse(stream, len(stream) + 1)
    pieces = _parse(stream, max(piece, len(stream) // 100 + 1))
    require(whole == pieces, "other messages in pieces", f"{whole!r:.200} and {pieces!r:.200}")


def _parse(stream: bytes, piece: int) -> list[Message | BadLine]:
    parser, found = LineParser(), []
    for at in range(0, len(stream), piece):
        parser.feed(stream[at : at + piece])
        while (item := parser.take()) is not None:
            found.append(item)
        require(len(parser._buffer) <= MAX_LINE, "parser keeps more than a line", str(len(parser._buffer)))
    while (item := parser.finish()) is not None:
        found.append(item)
    for item in found:
        require(not isinstance(item, BadLine) or len(item.text) <= 1024, "long error", str(item)[:100])
    return found


class Control:
    """Carries out control verbs, and fails as the example says."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.fails = False
        self.muted = False

    async def _do(self) -> str | None:
        await asyncio.sleep(0)
        if self.fails:
            raise SerError(self.text or "failed")
        return self.text

    async def hold(self, ms: int | None) -> None:
        await self._do()

    async def label(self, utterance_id: str, label: str) -> dict[str, object]:
        return {"utterance_id": utterance_id, "label": label, "text": await self._do()}

    async def taught(self, start: int | None) -> dict[str, object]:
        return {"start": start, "text": await self._do()}

    mute = unmute = release = reload = reset_adaptation = _do


def status() -> Status:
    """A status with a device name as no good device has it."""
    return Status(state=CaptureState.LISTENING, model="reslstm-sa-h64", device="Mic \udcff\x1b[2J" + "x" * 200)


@register("handler", streams, quick=250, seconds=2.0)
def check_handler(example: list[Any]) -> None:
    """Every message gets one answer of at most 32 KiB, or an error of one sentence."""
    handler = RequestHandler(Publisher(), Control(), status, dict)
    parser = LineParser()
    parser.feed(b"".join(map(to_bytes, example)))
    for item in parser:
        if isinstance(item, BadLine):
            check_answer(encode_error(item.code, item.text))
            continue
        try:
            check_id(item)
            if item.type == "subscribe":
                parse_filter(item)
            elif item.type in CONTROL_VERBS:
                check_answer(asyncio.run(handler.control(item)))
            else:
                check_answer(handler.answer(item))
        except RequestError as error:
            check_answer(encode_error(error.code, str(error), None if error.code == "bad-id" else item))


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands until a test moves it; sockets are real."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    async def turns(self, count: int = 12) -> None:
        """Let everything happen that can happen now."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def advance(self, seconds: float, step: float = 0.05) -> None:
        """Move the clock in steps."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            await self.turns(4)


class Scene:
    """A server on two real sockets, and clients of it."""

    def __init__(self, loop: Loop, path: Path) -> None:
        self.loop = loop
        self.paths = path / "s", path / "c"
        self.publisher = Publisher(64)
        self.control = Control()
        self.server = Server(self.publisher, self.control, status, dict, 16)
        self.clients: list[socket.socket] = []
        self.received: dict[int, bytearray] = {}
        self.own_tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen."""
        await self.server.start(*self.paths, {})
        self.own_tasks = asyncio.all_tasks(self.loop)

    async def client(self, control: bool) -> socket.socket:
        """Connect a client that the kernel buffers little from."""
        ours = socket.socket(socket.AF_UNIX)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)
        ours.connect(str(self.paths[control]))
        self.clients.append(ours)
        self.received[ours.fileno()] = bytearray()
        await self.loop.turns()
        return ours

    def read(self, client: socket.socket) -> None:
        """Read what is there."""
        while True:
            try:
                data = client.recv(1 << 16)
            except (BlockingIOError, ConnectionError):
                return
            if not data:
                return
            self.received[client.fileno()] += data

    async def read_all(self, client: socket.socket) -> None:
        """Read until nothing more comes."""
        before = -1
        while before < (before := len(self.received[client.fileno()])):
            self.read(client)
            await self.loop.turns(4)

    async def send(self, client: socket.socket, stream: bytes, *, reads: bool) -> int:
        """Send as much as the server takes now; return how many bytes these were."""
        sent = refused = 0
        while sent < len(stream) and refused < 4:
            try:
                sent += client.send(stream[sent : sent + 65536])
                refused = 0
            except BlockingIOError:
                refused += 1
            except ConnectionError:
                break
            if reads:
                self.read(client)
            await self.loop.turns(2)
        return sent

    async def end(self) -> None:
        """Close all clients; afterwards the server must have forgotten them."""
        for client in self.clients:
            client.close()
        await self.loop.advance(30.0, 0.5)
        tasks = asyncio.all_tasks(self.loop) - self.own_tasks
        left = self.server.metrics["clients"]
        leaks = left or self.publisher.metrics["subscribers"] or tasks
        require(not leaks, "slot leaked", f"{left} clients, {len(tasks)} tasks after all clients have gone")


def play(scenario: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a scenario in a new server."""
    loop = Loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))

    async def run(path: Path) -> None:
        scene = Scene(loop, path)
        await scene.start()
        try:
            await scenario(scene)
            await scene.end()
        finally:
            for client in scene.clients:
                client.close()
            closing = asyncio.ensure_future(scene.server.close())
            while not closing.done():
                await loop.advance(0.2)
            await loop.turns()

    try:
        with folder() as path:
            loop.run_until_complete(run(path))
        if faults:
            error = faults[0].get("exception") or Finding("fault in the event loop", str(faults[0].get("message")))
            raise error
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


events = st.sampled_from(["partial", "voice", "state"])
steps = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 3), streams),
    st.tuples(st.just("send"), st.integers(0, 3), streams),
    st.tuples(st.just("connect"), st.booleans(), st.booleans()),
    st.tuples(st.just("end sending"), st.integers(0, 3)),
    st.tuples(st.just("close"), st.integers(0, 3)),
    st.tuples(st.just("publish"), st.integers(1, 100)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 6.0])),
    st.tuples(st.just("verbs"), st.booleans(), st.none() | odd_texts | grown),
)
scenes = st.tuples(st.booleans(), st.lists(steps, min_size=1, max_size=8))


@register("server", scenes, quick=120, seconds=4.0)
def check_server(example: tuple[bool, list[Any]]) -> None:
    """Whatever clients send on either socket: answers are valid and bounded, and no slot is lost."""
    control, plan = example

    async def scenario(scene: Scene) -> None:
        reads = [True]
        await scene.client(control)
        for step in plan:
            await _step(scene, step, reads)
        await scene.loop.advance(2.0)
        for client, reading in zip(scene.clients, reads, strict=True):
            if reading and client.fileno() >= 0:
                await scene.read_all(client)
        for received in scene.received.values():
            whole = bytes(received).splitlines(keepends=True)
            for line in whole if received.endswith(b"\n") else whole[:-1]:
                check_answer(line)

    play(scenario)


async def _step(scene: Scene, step: tuple[Any, ...], reads: list[bool]) -> None:
    match step:
        case ("connect", control, reading):
            if len(scene.clients) < 6:
                await scene.client(control)
                reads.append(reading)
        case ("verbs", fails, text):
            scene.control.fails, scene.control.text = fails, None if text is None else to_text(text)
        case ("publish", count):
            for number in range(count):
                event = VoiceStopped(utterance_id=f"u-{number}", timestamp=1, time="")
                scene.publisher.publish(event if number % 2 else AudioState(state=CaptureState.MUTED))
                await scene.loop.turns(1)
        case ("wait", seconds):
            await scene.loop.advance(seconds)
        case (action, index, *rest):
            at = index % len(scene.clients)
            client = scene.clients[at]
            if client.fileno() < 0:
                return
            if action == "send":
                await scene.send(client, b"".join(map(to_bytes, rest[0])), reads=reads[at])
                await scene.loop.turns()
            elif action == "close":
                client.close()
            elif action == "end sending":
                try:
                    client.shutdown(socket.SHUT_WR)
                except OSError:
                    return
                await scene.loop.turns()


OFFERED = 1 << 18
"""Bytes that a flood consists of."""

MAX_LINES_NOW = 1 << 16
"""Lines that the server may take from one client while no time passes: what fits into one read of the event loop."""

blanks = st.lists(st.sampled_from([b"\n", b"\n", b" ", b"\r"]), min_size=1, max_size=3).map(b"".join)
pieces = st.sampled_from([b"\n", b"{", b"}", b'"', b"0", b"\t", b"{}\n", b"[]\n"])
units = st.one_of(
    blanks,
    st.binary(min_size=1, max_size=4),
    st.lists(pieces, min_size=1, max_size=4).map(b"".join),
    lines.map(to_bytes).filter(lambda unit: 0 < len(unit) < 4096),
)


@register("flood", st.tuples(st.booleans(), units, st.booleans()), quick=30, seconds=6.0)
def check_flood(example: tuple[bool, bytes, bool]) -> None:
    """A client that repeats anything without a pause is made to wait."""
    control, unit, reads = example
    unit = unit.replace(b"payload_length", b"payload-length")
    stream = unit * (OFFERED // len(unit) + 1)

    async def scenario(scene: Scene) -> None:
        client = await scene.client(control)
        sent = await scene.send(client, stream, reads=reads)
        taken = stream[:sent].count(b"\n")
        require(taken <= MAX_LINES_NOW, "flood not throttled", f"{taken} lines taken at once of {unit!r:.60}")

    play(scenario)
