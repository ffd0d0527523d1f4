"""Many hostile clients in a process of their own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

KINDS = ("blank", "ping", "garbage", "half", "huge", "nested", "framed", "id", "long", "never")
"""What a hostile client sends without a pause: blank lines, requests, bytes that are no JSON, a byte a second of a
line, lines longer than allowed, deep JSON, Wyoming data blocks and payloads, requests with long ids, and for long
answers, that it does not read, and nothing, reading nothing."""

PROGRAM = """
import itertools, json, os, resource, selectors, socket, sys, time

path, number, kinds = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
deep = "[" * 900 + "]" * 900
line = {
    "blank": b"\\n" * 65536,
    "ping": b'{"type":"ping"}\\n' * 4096,
    "garbage": os.urandom(65536).replace(b"\\n", b"x").replace(b"a", b"\\n"),
    "half": b'{"type":"status","data":{}',
    "huge": b"x" * 100_000 + b"\\n",
    "nested": ('{"type":"hold","data":{"ms":%s,"id":%s}}\\n' % (deep, deep)).encode() * 8,
    "framed": b'{"type":"ping","data_length":20,"payload_length":30000}\\n{"text":"hello you"}' + b"p" * 30000,
    "id": json.dumps({"type": "ping", "id": 1, "data": {"id": "x" * 32000}}).encode() + b"\\n",
    "long": json.dumps({"type": "ping", "id": "\\u20ac" * 128, "data": {"text": "\\u20ac" * 1024}}).encode() + b"\\n",
    "never": b"",
}
selector = selectors.DefaultSelector()
halves = []
for kind in itertools.islice(itertools.cycle(kinds), number):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.setblocking(False)
    if kind == "half":
        halves.append(client)
    else:
        reads = kind not in ("id", "long", "never")
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if line[kind] else 0)
        if events:
            selector.register(client, events, [line[kind], 0])
        else:
            halves.append(client)
print("all there", flush=True)
dripped = time.monotonic()
while True:
    for key, events in selector.select(1.0):
        try:
            if events & selectors.EVENT_READ and not key.fileobj.recv(65536):
                raise ConnectionResetError
            if events & selectors.EVENT_WRITE:
                data, place = key.data
                key.data[1] = (place + key.fileobj.send(data[place:])) % len(data)
        except BlockingIOError:
            pass
        except OSError:
            selector.unregister(key.fileobj)
    if time.monotonic() - dripped > 1:
        dripped = time.monotonic()
        for client in halves:
            try:
                client.send(b" ")
            except OSError:
                pass
"""


@contextlib.contextmanager
def hostile_clients(path: Path, number: int, kinds: tuple[str, ...] = KINDS) -> Iterator[None]:
    """Connect so many clients, of each kind as many, and let them send until the end of the block."""
    with crowd(PROGRAM, str(path), str(number), ",".join(kinds)):
        yield


@contextlib.contextmanager
def crowd(program: str, *arguments: str) -> Iterator[None]:
    """Run a Python program from the moment at which it prints `all there` until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "all there\n"
        yield
    finally:
        process.kill()
        process.communicate()
