"""Runs the checks that need sessions in a child process, with limits on its memory and time.

A graph that passed the checks before these has bounded needs. The limits hold even if those checks missed something.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from ser_model.network.metadata import ModelMetadata
from ser_model.network.model_files import MODES
from ser_model.network.model_graph import ModelGraph
from ser_model.network.onnx_file import read_onnx

MEMORY: Final = 512 << 20
"""Address space in bytes that the checks may take above that of the libraries."""

SECONDS: Final = 120
"""Longest time; the checks of a shipped model take about a second."""

_DONE: Final = "done"
_NO_MEMORY: Final = "no memory"


class Result(NamedTuple):
    """The result of one check."""

    name: str
    failures: list[str]
    """A sentence for each."""


def run_checks(graphs: Sequence[ModelGraph], memory: int = MEMORY, seconds: int = SECONDS) -> list[Result]:
    """Run the checks in a child.

    Args:
        graphs: one graph, or window and stream.
        memory: address space in bytes above that of the libraries.
        seconds: limit on the time.

    Returns:
        the result of every check; where a limit was hit, the last one says so
    """
    header = [memory, seconds, [[str(graph.path), len(graph.content)] for graph in graphs]]
    request = b"\n".join((json.dumps(header).encode(), b"".join(graph.content for graph in graphs)))
    output, status = _run_child(request, seconds)
    # The last line may be torn.
    results = [Result(*json.loads(line)) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    ends = [result.name for result in results if result.name in (_DONE, _NO_MEMORY)]
    results = [result for result in results if result.name not in ends]
    if ends != [_DONE]:
        if ends == [_NO_MEMORY]:
            reason = f"more than {memory >> 20} MiB of memory"
        elif status in (None, -signal.SIGXCPU):
            reason = f"more than {seconds} s"
        else:
            reason = f"what ended the process that checks it (status {status})"
        names = " and ".join(graph.path.name for graph in graphs)
        results.append(Result("limits of memory and time", [f"{names}: a check took {reason}; export the model again"]))
    return results


def _run_child(request: bytes, seconds: int) -> tuple[bytes, int | None]:
    """Output of the child, and its exit status, `None` if it had to be killed after the time."""
    # -P: the folder in which the command runs is no place for modules. More threads would only take address space.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "ser_model.network.verification_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as child:
        try:
            return child.communicate(request, timeout=seconds)[0], child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            return child.communicate()[0], None
        except BaseException:
            child.kill()
            raise


def main() -> None:
    """Read a request from stdin, and write the results as lines of JSON."""
    memory, seconds, files = json.loads(sys.stdin.buffer.readline())
    contents = [(Path(path), sys.stdin.buffer.read(size)) for path, size in files]
    # The libraries themselves are trusted, and the address space that they take depends on the machine.
    import onnxruntime  # noqa: F401

    from ser_model.network import verification_checks  # noqa: F401

    _limit(memory, seconds)
    try:
        for result in _check(contents):
            _write(result)
    except MemoryError:
        _write(Result(_NO_MEMORY, []))
    else:
        _write(Result(_DONE, []))


def _limit(memory: int, seconds: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + memory
    for limit, value in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY or value <= hard:
            resource.setrlimit(limit, (value, value))


def _check(contents: Sequence[tuple[Path, bytes]]) -> Iterator[Result]:
    from ser_model.network.onnx_session import new_session
    from ser_model.network.verification_checks import (
        StartedGraph,
        check_agreement,
        check_deterministic,
        check_finite,
    )

    graphs: list[StartedGraph] = []

    def start(path: Path, content: bytes) -> Iterator[str]:
        metadata = ModelMetadata.from_properties(read_onnx(content).properties, path, None)
        graphs.append(StartedGraph(path, content, metadata, new_session(content)))
        yield from ()

    for path, content in contents:
        yield _guard(f"{path.name}: loads", partial(start, path, content))
    if len(graphs) < len(contents):
        return
    for graph in graphs:
        mode = graph.metadata.mode
        yield _guard(f"{mode}: finite on silence, noise and extremes", partial(check_finite, graph))
        yield _guard(f"{mode}: the same answer every time", partial(check_deterministic, graph))
    if len(graphs) == len(MODES):
        yield _guard("window and stream agree", partial(check_agreement, *graphs))


def _guard(name: str, check: Callable[[], Iterator[str]]) -> Result:
    """Run one check; a graph that cannot be run fails it.

    Raises:
        MemoryError: the memory does not suffice.
    """
    try:
        return Result(name, list(check()))
    # ONNX Runtime raises a dozen unrelated classes.
    except Exception as error:
        if isinstance(error, MemoryError) or "alloc" in str(error).lower():
            raise MemoryError from error
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        return Result(name, [f"{name}: the graph can't be run ({reason}); export the model again"])


def _write(result: Result) -> None:
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
