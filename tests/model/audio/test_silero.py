"""The detector's graph computes what Silero's own file computes, and the gate cuts the same whatever the blocks."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ser_model
from ser_model.audio.files import read_audio
from ser_model.audio.gate import Gate
from ser_model.audio.vad import SileroDetector
from ser_model.network.checksums import read_shipped_file
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.types import SAMPLE_RATE, Block, GateEvent, Samples, SpeechAudio
from support.speech import synthetic_speech

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = Path(ser_model.__file__).parent / "weights/silero_vad_16k_batch.onnx"
TOLERANCE = 1e-5


def script(path: str) -> ModuleType:
    """Import a script of the source tree."""
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and annotations look their module up by its name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return script("benchmarks/measure_detector.py")


def test_it_is_equal_to_the_original_on_the_recordings_of_the_source_tree(measure: ModuleType) -> None:
    original, detector = measure.OriginalDetector(), SileroDetector()
    for path in measure.RECORDINGS:
        frames = measure.in_frames(read_audio(path))
        assert measure.largest_difference(frames, original, detector) < TOLERANCE


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0])
def test_it_is_equal_to_the_original_on_silence_and_noise(measure: ModuleType, scale: float) -> None:
    noise = np.random.default_rng(3).uniform(-scale, scale, (60, 512)).astype(np.float32)
    assert measure.largest_difference(noise, measure.OriginalDetector(), SileroDetector()) < TOLERANCE


@pytest.mark.slow
def test_it_is_equal_to_the_original_on_corpora(measure: ModuleType, corpora: Path) -> None:
    original, detector = measure.OriginalDetector(), SileroDetector()
    for folder in sorted(path.parent for path in corpora.glob("*/index.csv")):
        for one in open_corpus(folder).recordings[::97]:
            frames = measure.in_frames(read_audio(one.path))
            assert measure.largest_difference(frames, original, detector) < TOLERANCE, one.path


def test_after_a_reset_nothing_is_left_of_the_frames_before(measure: ModuleType) -> None:
    detector = SileroDetector()
    frames = measure.in_frames(synthetic_speech())[:80]
    first = detector.probabilities(frames)
    assert detector.probabilities(frames) != first
    detector.reset()
    assert detector.probabilities(frames) == first
    assert max(first) > 0.9


def test_the_script_writes_the_shipped_graph_to_the_byte(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    graph = script("release/silero_graph.py")
    content = graph.build(graph.ORIGINAL.read_bytes())
    assert hashlib.sha256(content).hexdigest() == hashlib.sha256(read_shipped_file(SHIPPED)).hexdigest()


def test_the_script_refuses_another_file() -> None:
    pytest.importorskip("onnx")
    graph = script("release/silero_graph.py")
    with pytest.raises(ValueError, match="expected the file with the SHA-256 7ed98ddb"):
        graph.build(graph.ORIGINAL.read_bytes()[:-1])


def events(samples: Samples, size: int) -> list[object]:
    """The gate's events for blocks of so many samples, with the bytes of the audio."""
    gate, found = Gate(), list[GateEvent]()
    for at in range(0, len(samples), size):
        found += gate.push(Block(samples[at : at + size], at))
    found += gate.finish()
    return [
        (e.utterance, e.start, e.voiced, e.snr_db, e.clipping, e.samples.tobytes()) if isinstance(e, SpeechAudio) else e
        for e in found
    ]


@pytest.mark.parametrize("kind", ["as it is", "cut into", "digital silence between"])
def test_the_size_of_the_blocks_has_no_influence_with_the_real_detector(kind: str) -> None:
    samples = synthetic_speech()[: 12 * SAMPLE_RATE].copy()
    if kind == "cut into":
        samples = samples[int(1.2 * SAMPLE_RATE) :]
    elif kind == "digital silence between":
        # The noise floor is not known before the first pause; digital silence is passed over until then.
        samples[: SAMPLE_RATE // 2] = 0
        for at in range(SAMPLE_RATE, len(samples), 3 * SAMPLE_RATE // 2):
            samples[at : at + 1500] = 0
    whole = events(samples, len(samples))
    assert len(whole) > 50
    for size in (160, 512, 700, 2560, 20_000):
        assert events(samples, size) == whole
