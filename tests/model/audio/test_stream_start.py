"""A stream may begin in the middle of a sentence, or with noise at full level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser_model.audio.files import read_audio
from ser_model.audio.gate import Gate
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.noises import GENERATORS
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechStarted
from support.speech import sentence


def passed(samples: Samples) -> np.ndarray:
    """Mask of the samples that the gate passes on."""
    gate = Gate()
    mask = np.zeros(len(samples), dtype=bool)
    for event in gate.push(Block(samples, 0)) + gate.finish():
        if isinstance(event, SpeechAudio):
            mask[event.start : event.start + len(event.samples)] = True
    return mask


def without_dips(samples: Samples) -> Samples:
    """Compress a sentence, as broadcasts do, so that no moment is much softer than another."""
    frames = samples[: len(samples) // 160 * 160].astype(np.float64)
    levels = np.sqrt(np.convolve(np.square(frames), np.ones(480) / 480, mode="same")) + 100
    return np.rint(frames / levels * 3000).clip(-32768, 32767).astype(np.int16)


def test_a_sentence_that_is_cut_into_is_heard_from_its_first_sample() -> None:
    """It has no pause from which the noise floor could be learnt."""
    speech = without_dips(sentence())[SAMPLE_RATE // 4 : SAMPLE_RATE]
    assert passed(speech).all()


@pytest.mark.parametrize("level_db", [-20, 0])
@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_noise_that_begins_at_full_level_is_not_taken_for_speech(name: str, level_db: int) -> None:
    noise = GENERATORS[name](5 * SAMPLE_RATE, np.random.default_rng(7))
    samples = np.rint(noise * 32768 * 10 ** (level_db / 20)).astype(np.int16)
    gate = Gate()
    events = gate.push(Block(samples, 0)) + gate.finish()
    assert not [event for event in events if isinstance(event, SpeechStarted)]


def test_thirty_recordings_of_read_speech_that_are_cut_into(corpora: Path) -> None:
    found = []
    for one in open_corpus(corpora / "ordinary").recordings[::7]:
        samples = read_audio(one.path)
        room = np.random.default_rng(0).normal(0, 3, 2 * SAMPLE_RATE).astype(np.int16)
        speech = passed(np.concatenate((room, samples, room)))[len(room) : len(room) + len(samples)]
        begin = int(speech.argmax()) + SAMPLE_RATE // 2
        if len(samples) - begin < 2.5 * SAMPLE_RATE:
            continue
        cut = begin + int(np.abs(samples[begin : begin + SAMPLE_RATE // 2].astype(int)).argmax())
        truth = speech[cut:]
        found.append(float(passed(samples[cut:])[truth].mean()))
        if len(found) == 30:
            break
    assert len(found) == 30
    assert np.mean(found) > 0.97
    assert min(found) > 0.85
