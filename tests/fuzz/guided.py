"""Coverage-guided generation with atheris: mutations of the choices that hypothesis makes an example from.

The program's modules must have been imported by `atheris.instrument_imports`. Targets in a child process are not
guided: their coverage is not seen here.
"""

from __future__ import annotations

import ast
import contextlib
import mmap
import os
import select
import struct
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from fuzz.engine import Runner, make_test
from fuzz.target import Finding

LONGEST = 16_384
"""Bytes of choices that one example is made from."""

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-inputs")


def fuzz(runner: Runner, end: float, rng: Random) -> dict[str, tuple[Any, Finding]]:
    """Fuzz one target until a moment of the monotonic clock; return an example for each new finding.

    libFuzzer ends its process, so it gets one of its own. Inputs that reach new branches are kept for the next turn.
    """
    seconds = max(1, round(end - time.monotonic()))
    inputs = Path(_FOLDER.name) / runner.target.name
    inputs.mkdir(exist_ok=True)
    counter = mmap.mmap(-1, 8)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _child(runner, counter, into, inputs, seconds, rng.getrandbits(31))
    os.close(into)
    told = b""
    try:
        while piece := os.read(out, 65536) if select.select([out], [], [], seconds + 60)[0] else b"":
            told += piece
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(out)
        runner.executions += struct.unpack("Q", counter)[0]
    found = {}
    for line in told.splitlines():
        code, text, example = ast.literal_eval(line.decode())
        found[code] = (example, Finding(code, text))
    return found


def _child(runner: Runner, counter: mmap.mmap, into: int, inputs: Path, seconds: int, seed: int) -> None:
    import atheris

    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    told: set[str] = set()
    asked = runner.seen

    def seen(example: Any, finding: Finding) -> bool:
        # Not raised: libFuzzer would end at the first finding.
        if finding.code not in told and asked(example, finding):
            told.add(finding.code)
            os.write(into, ascii((finding.code, finding.text[:600], example)).encode() + b"\n")
        return False

    runner.seen = seen
    one = make_test(runner, 1).hypothesis.fuzz_one_input

    def run(data: bytes) -> None:
        one(data)
        counter[:] = struct.pack("Q", runner.executions)

    runner.executions = 0
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-seed={seed}",
        "-handle_alrm=0",
        "-rss_limit_mb=4096",
    ]
    atheris.Setup(["fuzz", *options, f"-artifact_prefix={inputs}/", str(inputs)], run)
    try:
        atheris.Fuzz()
    finally:
        os._exit(0)
