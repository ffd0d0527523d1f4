"""`ser-model export --check`: checks that a model is complete, made for this program, and computes correctly."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ser_model import console
from ser_model.errors import SerError
from ser_model.features.features import SIZE
from ser_model.network.checksums import read_checksums
from ser_model.network.graph_check import count_parameters
from ser_model.network.graph_shapes import OPSET
from ser_model.network.metadata import FORMAT_VERSION
from ser_model.network.model_files import MODES, ModelFiles, checksum_file, mode_of
from ser_model.network.model_graph import ModelGraph, check_model_file, check_pair, read_model_file
from ser_model.network.verification_child import run_checks
from ser_model.small_file import UnreadableFileError


def verify(path: Path) -> int:
    """Check a model file or pair, and print the result.

    Args:
        path: either file of a pair NAME.window.onnx and NAME.stream.onnx, NAME without the endings, or a graph with
            another name, which is checked alone.

    Returns:
        the exit status: 0 for a usable model, else 2 after one sentence for every failure
    """
    pair = ModelFiles.named(path)
    files = [path] if path.exists() and not path.is_dir() and path not in pair else [*pair]
    failures: list[str] = []
    graphs = []
    for file in files:
        try:
            # The mode comes from the name, else from the metadata.
            graphs.append(check_model_file(file, read_model_file(file), mode_of(file)))
        except SerError as error:
            failures.append(str(error))
    for graph in graphs:
        console.say(f"{graph.path}: {len(graph.content)} bytes, opset {OPSET}")
        console.say(f"  sha256 {_sum(graph)}")
    if len(graphs) == len(files):
        failures += _run(graphs)
    failures += _compare_checksums(graphs)
    for sentence in failures:
        console.report_error("ser-model", sentence)
    names = " and ".join(file.name for file in files)
    console.say(f"{names}: {'NOT usable' if failures else 'sound'}")
    return 2 if failures else 0


def _run(graphs: list[ModelGraph]) -> list[str]:
    """Run the graphs that are alright so far; return a sentence for each failure."""
    metadata = graphs[0].metadata
    console.say(f"{metadata.name}, format {metadata.format_version} (known up to {FORMAT_VERSION}), {metadata.licence}")
    console.say(
        f"  {SIZE} features to {' '.join(metadata.labels)}; {count_parameters(metadata.hidden)} trainable parameters"
    )
    for graph in graphs:
        console.say(f"  ok      {graph.metadata.mode}: description, operators, inputs, outputs, size")
    if len(graphs) == len(MODES):
        try:
            check_pair(*graphs)
        except SerError as error:
            return [str(error)]
    else:
        console.say("  -       one graph alone: not compared with its other half")
    results = run_checks(graphs)
    for name, failures in results:
        console.say(f"  {'FAILED' if failures else 'ok':6}  {name}")
    return [sentence for result in results for sentence in result.failures]


def _sum(graph: ModelGraph) -> str:
    return hashlib.sha256(graph.content).hexdigest()


def _compare_checksums(graphs: list[ModelGraph]) -> list[str]:
    """Compare the files with NAME.sha256 beside them, if it exists."""
    if not graphs:
        return []
    path = checksum_file(graphs[0].path)
    if not path.exists():
        console.say(f"  -       there is no {path.name} to compare the sums with")
        return []
    try:
        sums = read_checksums(path)
    except (UnreadableFileError, UnicodeDecodeError):
        return [f"{path}: can't be read; expected lines as sha256sum writes them"]
    failures = []
    for graph in graphs:
        wanted = sums.get(graph.path.name)
        if wanted is None:
            failures.append(f"{path}: has no line for {graph.path.name}; expected lines as sha256sum writes them")
        elif wanted != _sum(graph):
            failures.append(
                f"{graph.path}: its sum is not the one in {path.name}; it was changed or damaged on the way"
            )
    console.say(f"  {'FAILED' if failures else 'ok':6}  sums as in {path.name}")
    return failures


def write_checksums(paths: tuple[Path, ...], target: Path) -> None:
    """Write checksums for `sha256sum --check`, with names relative to the target's folder."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    target.write_text("".join(lines))
