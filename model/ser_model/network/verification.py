"""`ser-model export --check`: checks that a model is complete, made for this program, and computes correctly."""

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
from ser_model.network.metadata import FORMAT_VERSION, ModelMetadata
from ser_model.network.model_files import MODES, ModelFiles, checksum_file, mode_of
from ser_model.network.onnx_file import read_onnx
from ser_model.network.onnx_session import new_session
from ser_model.network.verification_checks import (
    Graph,
    check_agreement,
    check_deterministic,
    check_finite,
    check_interface,
    check_metadata,
    count_parameters,
)

Check = Callable[[], Iterator[str]]

_SUM: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
"""A line of sha256sum's output."""


def verify(path: Path) -> int:
    """Check a model file or pair, and print the result.

    Args:
        path: either file of a pair NAME.window.onnx and NAME.stream.onnx, NAME without the endings, or a graph with
            another name, which is checked alone.

    Returns:
        the exit status: 0 for a usable model, else 2 after one sentence for every failure
    """
    pair = ModelFiles.named(path)
    files = [path] if path.is_file() and path not in pair else [*pair]
    failures: list[str] = []
    graphs = []
    for file in files:
        try:
            graphs.append(_load(file))
        except SerError as error:
            failures.append(str(error))
    for graph in graphs:
        console.say(f"{graph.path}: {len(graph.content)} bytes, opset {graph.outline.opsets.get('')}")
        console.say(f"  sha256 {graph.sha256}")
    if len(graphs) == len(files):
        failures += _check_graphs(graphs)
    failures += _compare_checksums(graphs)
    for sentence in failures:
        console.report_error("ser-model", sentence)
    names = " and ".join(file.name for file in files)
    console.say(f"{names}: {'NOT usable' if failures else 'sound'}")
    return 2 if failures else 0


def _load(path: Path) -> Graph:
    """Read one graph and its metadata. The mode comes from the name, else from the metadata.

    Raises:
        SerError: the file is missing, damaged, or not made for this program.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SerError(f"{path}: can't read the model file ({error.strerror}); the daemon needs both graphs") from error
    try:
        outline = read_onnx(content)
        session = new_session(content)
    # ONNX Runtime raises a dozen unrelated classes; each means that the file cannot be used.
    except Exception as error:
        raise SerError(f"{path}: is damaged or not an ONNX model; copy or export it again") from error
    properties = session.get_modelmeta().custom_metadata_map
    mode = mode_of(path) or properties.get("mode", "").strip('"')
    try:
        metadata = ModelMetadata.from_properties(properties, path, mode)
        whole = isinstance(metadata.hidden, int) and metadata.hidden > 0 and isinstance(metadata.variant, str)
    except (TypeError, AttributeError):
        # A value has the wrong type.
        whole = False
    if not whole:
        raise SerError(f"{path}: its description is damaged; export the model again")
    return Graph(path, content, session, outline, metadata)


def _check_graphs(graphs: list[Graph]) -> list[str]:
    """Run and print every check of graphs that load; return a sentence for each failure."""
    metadata = graphs[0].metadata
    console.say(f"{metadata.name}, format {metadata.format_version} (known up to {FORMAT_VERSION}), {metadata.licence}")
    console.say(
        f"  {SIZE} features to {' '.join(metadata.labels)}; {count_parameters(metadata.hidden)} trainable parameters"
    )
    checks: list[tuple[str, Check]] = []
    for graph in graphs:
        checks.append((f"{graph.metadata.mode}: description", partial(check_metadata, graph)))
        checks.append((f"{graph.metadata.mode}: operators, inputs, outputs, size", partial(check_interface, graph)))
    failures = _run_checks(checks)
    if failures:
        return failures
    checks = []
    for graph in graphs:
        checks.append((f"{graph.metadata.mode}: finite on silence, noise and extremes", partial(check_finite, graph)))
        checks.append((f"{graph.metadata.mode}: the same answer every time", partial(check_deterministic, graph)))
    if len(graphs) == len(MODES):
        checks.append(("window and stream agree", partial(check_agreement, graphs[0], graphs[1])))
    else:
        console.say("  -       one graph alone: not compared with its other half")
    return _run_checks(checks)


def _run_checks(checks: list[tuple[str, Check]]) -> list[str]:
    failures = []
    for name, check in checks:
        try:
            found = list(check())
        # A graph that loads may still fail to run.
        except Exception as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            found = [f"{name}: the graph can't be run ({reason}); export the model again"]
        console.say(f"  {'FAILED' if found else 'ok':6}  {name}")
        failures += found
    return failures


def _compare_checksums(graphs: list[Graph]) -> list[str]:
    """Compare the files with NAME.sha256 beside them, if it exists."""
    if not graphs:
        return []
    path = checksum_file(graphs[0].path)
    if not path.exists():
        console.say(f"  -       there is no {path.name} to compare the sums with")
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
    console.say(f"  {'FAILED' if failures else 'ok':6}  sums as in {path.name}")
    return failures


def write_checksums(paths: tuple[Path, ...], target: Path) -> None:
    """Write checksums for `sha256sum --check`, with names relative to the target's folder."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    target.write_text("".join(lines))
