"""`ser-model export --check` accepts a sound model and refuses any other, without torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ser_model.cli.main import main
from ser_model.network.graph_check import count_parameters
from ser_model.network.model_files import ModelFiles, checksum_file
from ser_model.network.onnx_file import read_onnx
from ser_model.network.verification import write_checksums
from support.models import SHIPPED, copy_shipped, without_class_mean_logits
from support.models import edit_metadata as edit


@pytest.fixture
def pair(tmp_path: Path) -> ModelFiles:
    return copy_shipped(tmp_path)


def scale_tensor(path: Path, name: str, factor: float) -> None:
    """Multiply a stored tensor."""
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    model = onnx.load(path)
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    values = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save(model, path)


def refused(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    """The lines on stderr for a model that is refused."""
    assert main(["export", "--check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out.endswith("NOT usable\n") or not out
    assert "Traceback" not in err
    assert all(line.startswith("ser-model: ") for line in err.splitlines())
    return err


def test_a_sound_pair_passes_under_any_of_its_names(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (*pair, pair.window.with_name("reslstm-sa-h64")):
        assert main(["export", "--check", str(path)]) == 0
        out, err = capsys.readouterr()
        assert not err
        assert out.endswith(": sound\n")
        assert "46772 trainable parameters" in out
        assert "opset 17" in out
        for mode in ("window", "stream"):
            assert hashlib.sha256(getattr(pair, mode).read_bytes()).hexdigest() in out


def test_a_graph_with_another_name_is_checked_alone(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    alone = pair.window.with_name("copy.onnx")
    pair.stream.rename(alone)
    assert main(["export", "--check", str(alone)]) == 0
    assert "one graph alone" in capsys.readouterr().out


def test_a_pair_that_cannot_be_adapted_is_sound(tmp_path: Path) -> None:
    assert main(["export", "--check", str(without_class_mean_logits(tmp_path))]) == 0


def test_it_needs_neither_torch_nor_onnx(pair: ModelFiles) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'scipy', 'matplotlib'): sys.modules[name] = None\n"
        "from ser_model.cli.main import main\n"
        f"sys.exit(main(['export', '--check', {str(pair.window)!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_checksums_beside_the_pair_are_compared(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    sums = checksum_file(pair.window)
    write_checksums(pair, sums)
    assert main(["export", "--check", str(pair.window)]) == 0
    assert "ok      sums as in" in capsys.readouterr().out
    lines = sums.read_text().splitlines()
    sums.write_text(f"{'0' * 64}{lines[0][64:]}\n{lines[1]}\n")
    error = refused(capsys, pair.window)
    assert "window.onnx: its sum is not the one in" in error
    assert "stream" not in error
    sums.write_text("nothing of the kind\n")
    assert refused(capsys, pair.window).count("has no line for") == 2


def test_written_checksums_have_the_format_of_sha256sum(pair: ModelFiles) -> None:
    write_checksums((pair.window,), pair.window.with_name("sums"))
    digest = hashlib.sha256(pair.window.read_bytes()).hexdigest()
    assert pair.window.with_name("sums").read_text() == f"{digest}  {pair.window.name}\n"


@pytest.mark.parametrize("mode", ["window", "stream"])
@pytest.mark.parametrize("left", [0, 1, 5000, -1])
def test_a_truncated_file_is_refused(
    pair: ModelFiles, mode: str, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    content = getattr(pair, mode).read_bytes()
    getattr(pair, mode).write_bytes(content[:left])
    assert f"{mode}.onnx: is damaged or not an ONNX model" in refused(capsys, pair.window)


def test_a_flipped_byte_in_the_weights_is_noticed(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(pair.window.read_bytes())
    # The exponent of a number in the middle of the tensors.
    content[len(content) // 2 | 3] ^= 0x7F
    pair.window.write_bytes(content)
    refused(capsys, pair.window)


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.onnx").write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    assert "photo.onnx: is damaged or not an ONNX model" in refused(capsys, tmp_path / "photo.onnx")
    vad = SHIPPED.window.with_name("silero_vad_16k_batch.onnx")
    assert "an ONNX file of another kind" in refused(capsys, vad)
    assert refused(capsys, tmp_path / "absent").count("can't read the model file") == 2


def test_a_missing_half_is_named(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    pair.stream.unlink()
    error = refused(capsys, pair.window)
    assert error.count("\n") == 1
    assert "stream.onnx: can't read the model file" in error


def test_swapped_files_are_noticed(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    kept = pair.window.read_bytes()
    pair.window.write_bytes(pair.stream.read_bytes())
    pair.stream.write_bytes(kept)
    assert refused(capsys, pair.window).count("are the two files swapped?") == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p.update(labels=json.dumps(["joy", "grief"])), "found joy, grief"),
        (lambda p: p.update(format_version="2"), "format 2, this program reads up to 1"),
        (lambda p: p.update(features=json.dumps({**json.loads(p["features"]), "hop": 160})), "hop=160"),
        (lambda p: p.update(features="[]"), "description is damaged"),
        (lambda p: p.update(temperature='"warm"'), "description is damaged"),
        (lambda p: p.update(hidden='"64"'), "description is damaged"),
        (lambda p: p.update(temperature="1" * 400), "description is damaged"),
        (lambda p: p.update(typical_logits="[[0.0]]"), "typical_logits: expected 8 rows of 8 numbers"),
        (lambda p: p.update(hidden="32"), "by embeddings of 64 numbers, but its network makes 32"),
        (lambda p: (p.pop("unlike_speech"), p.update(hidden="32")), "is called variant h64, but has 32 cells"),
        (lambda p: p.update(mean="[0.0]"), "expected 46 finite numbers as mean"),
        (lambda p: p.update(std=json.dumps([0.0] * 46)), "is not above 0"),
        (lambda p: p.update(licence='""'), "under which licence"),
        (lambda p: p.pop("labels"), "description is damaged"),
        (lambda p: p.pop("temperature"), "description is damaged"),
    ],
)
def test_invalid_metadata_are_refused(
    pair: ModelFiles, change: Callable[[dict[str, str]], object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(pair.stream, change)
    assert sentence in refused(capsys, pair.window)


@pytest.mark.parametrize("mode", ["window", "stream"])
def test_altered_weights_in_one_graph_are_noticed(
    pair: ModelFiles, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scale_tensor(getattr(pair, mode), "network.classifier.weight", 1.01)
    assert "disagree on" in refused(capsys, pair.window)


def test_weights_that_are_not_finite_are_noticed(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    scale_tensor(pair.window, "network.classifier.bias", float("nan"))
    error = refused(capsys, pair.window)
    assert "with numbers that are not finite" in error


def test_a_graph_of_another_size_is_noticed(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("window", "stream"):
        edit(getattr(pair, mode), lambda p: (p.pop("unlike_speech"), p.update(hidden="128", variant='"h128"')))
    assert "expected the 108916 parameters of reslstm-sa-h128" in refused(capsys, pair.window)


def test_a_graph_that_lacks_an_output_is_noticed(pair: ModelFiles, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    model = onnx.load(pair.window)
    del model.graph.output[2]
    onnx.save(model, pair.window)
    assert "expected the outputs logits, embedding, attention, found logits, embedding" in refused(capsys, pair.window)


def test_parameters_are_counted_as_in_the_paper() -> None:
    assert [count_parameters(hidden) for hidden in (32, 64, 128)] == [27_988, 46_772, 108_916]


def test_the_outline_equals_that_of_the_onnx_package(pair: ModelFiles) -> None:
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    model = onnx.load(pair.window)
    outline = read_onnx(pair.window.read_bytes())
    assert outline.opsets == {entry.domain: entry.version for entry in model.opset_import}
    graph = outline.read_graph()
    assert [node.operator for node in graph.nodes] == [node.op_type for node in model.graph.node]
    assert graph.numbers == sum(onnx.numpy_helper.to_array(one).size for one in model.graph.initializer)


def test_export_needs_either_a_run_or_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["export"], ["export", "run", "--check", "file"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "--check" in capsys.readouterr().err
