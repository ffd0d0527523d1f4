"""`ser-model export --check`: whether a model file is whole, made for this program, and does what it must."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from ser_model import console
from ser_model.errors import SerError
from ser_model.features.features import SIZE
from ser_model.network.estimator import new_session
from ser_model.network.metadata import FORMAT_VERSION, MODES, ModelMetadata
from ser_model.network.onnx_file import read_onnx
from ser_model.network.verification_checks import (
    Graph,
    agree,
    count_parameters,
    describe,
    deterministic,
    finite,
    interface,
)

Check = Callable[[], Iterator[str]]

_SUM: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
"""A line as sha256sum writes it."""


def verify(path: Path) -> int:
    """Check a model file or pair and print what is found.

    Args:
        path: either file of a pair NAME.window.onnx and NAME.stream.onnx, their common beginning, or a graph with
            another name, which is checked alone.

    Returns:
        the exit status: 0 for a sound model; 2, after one sentence for every failure, for any other
    """
    files = _files(path)
    failures: list[str] = []
    graphs = []
    for file in files:
        try:
            graphs.append(_load(file))
        except SerError as error:
            failures.append(str(error))
    for graph in graphs:
        print(f"{graph.path}: {len(graph.content)} bytes, opset {graph.outline.opsets.get('')}")
        print(f"  sha256 {graph.sha256}")
    if len(graphs) == len(files):
        failures += _examine(graphs)
    failures += _compare_sums(graphs)
    for sentence in failures:
        console.say("ser-model", sentence)
    names = " and ".join(file.name for file in files)
    print(f"{names}: {'NOT usable' if failures else 'sound'}")
    return 2 if failures else 0


def _files(path: Path) -> list[Path]:
    """The files that are meant."""
    stem = path.name
    if stem in ("", ".."):
        raise SerError(f'"{path}" names no model; expected either file of a pair NAME.window.onnx, NAME.stream.onnx')
    for mode in MODES:
        stem = stem.removesuffix(f".{mode}.onnx")
    if stem == path.name and path.is_file():
        return [path]
    return [path.with_name(f"{stem}.{mode}.onnx") for mode in MODES]


def _load(path: Path) -> Graph:
    """Read one graph and its description; the mode is told by the name, else by the description.

    Raises:
        SerError: missing, damaged, or made for something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SerError(f"{path}: can't read the model file ({error.strerror}); the daemon needs both graphs") from error
    try:
        outline = read_onnx(content)
        session = new_session(content)
    # ONNX Runtime raises a dozen unrelated classes for what is, to the user, one thing: not a usable file.
    except Exception as error:
        raise SerError(f"{path}: is damaged or not an ONNX model; copy or export it again") from error
    properties = session.get_modelmeta().custom_metadata_map
    named = [mode for mode in MODES if path.name.endswith(f".{mode}.onnx")]
    mode = named[0] if named else properties.get("mode", "").strip('"')
    try:
        metadata = ModelMetadata.from_properties(properties, path, mode)
        whole = isinstance(metadata.hidden, int) and metadata.hidden > 0 and isinstance(metadata.variant, str)
    except (TypeError, AttributeError):
        # A value of another kind than its name promises.
        whole = False
    if not whole:
        raise SerError(f"{path}: its description is damaged; export the model again")
    return Graph(path, content, session, outline, metadata)


def _examine(graphs: list[Graph]) -> list[str]:
    """Every check of graphs that load; prints each and returns a sentence for each failure."""
    metadata = graphs[0].metadata
    print(f"{metadata.name}, format {metadata.format_version} (known up to {FORMAT_VERSION}), {metadata.licence}")
    print(f"  {SIZE} features to {' '.join(metadata.labels)}; {count_parameters(metadata.hidden)} trainable parameters")
    checks: list[tuple[str, Check]] = []
    for graph in graphs:
        checks.append((f"{graph.metadata.mode}: description", partial(describe, graph)))
        checks.append((f"{graph.metadata.mode}: operators, inputs, outputs, size", partial(interface, graph)))
    failures = _perform(checks)
    if failures:
        return failures
    checks = []
    for graph in graphs:
        checks.append((f"{graph.metadata.mode}: finite on silence, noise and extremes", partial(finite, graph)))
        checks.append((f"{graph.metadata.mode}: the same answer every time", partial(deterministic, graph)))
    if len(graphs) == len(MODES):
        checks.append(("window and stream agree", partial(agree, graphs[0], graphs[1])))
    else:
        print("  -       one graph alone: not compared with its other half")
    return _perform(checks)


def _perform(checks: list[tuple[str, Check]]) -> list[str]:
    failures = []
    for name, check in checks:
        try:
            found = list(check())
        # A graph that loads may still not run, for any reason that a runtime has.
        except Exception as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            found = [f"{name}: the graph can't be run ({reason}); export the model again"]
        print(f"  {'FAILED' if found else 'ok':6}  {name}")
        failures += found
    return failures


def _compare_sums(graphs: list[Graph]) -> list[str]:
    """Hold the files to NAME.sha256 beside them, if there is one."""
    if not graphs:
        return []
    stem = graphs[0].path.name.removesuffix(".onnx")
    for mode in MODES:
        stem = stem.removesuffix(f".{mode}")
    path = graphs[0].path.with_name(f"{stem}.sha256")
    if not path.exists():
        print(f"  -       there is no {path.name} to compare the sums with")
        return []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return [f"{path}: can't be read; expected lines as sha256sum writes them"]
    sums = {match[2]: match[1].lower() for match in map(_SUM.fullmatch, lines) if match}
    failures = []
    for graph in graphs:
        wanted = sums.get(graph.path.name)
        if wanted is None:
            failures.append(f"{path}: has no line for {graph.path.name}; expected lines as sha256sum writes them")
        elif wanted != graph.sha256:
            failures.append(
                f"{graph.path}: its sum is not the one in {path.name}; it was changed or damaged on the way"
            )
    print(f"  {'FAILED' if failures else 'ok':6}  sums as in {path.name}")
    return failures


def write_sums(paths: tuple[Path, ...], target: Path) -> None:
    """Write the sums of files as `sha256sum --check` reads them, with names relative to the target's folder."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    target.write_text("".join(lines))
