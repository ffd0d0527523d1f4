"""Corrections: which are kept, what their file looks like, and what becomes of it when it cannot be used."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path

import numpy as np
import pytest

from ser_daemon.adaptation.corrections import (
    FILE_NAME,
    MOST_CORRECTIONS,
    Correction,
    CorrectionFile,
    add_correction,
)
from ser_daemon.adaptation.files import find_speaker, write_data
from ser_daemon.adaptation.session import AdaptationSession, make_session
from ser_daemon.adaptation.teaching import PAGE, Lesson, Teaching, choose_examples
from ser_daemon.adaptation.utterances import KEPT, RecentUtterances
from ser_daemon.config.loading import load_config
from ser_model import Model
from ser_model.adaptation.adaptation import Statistics, model_version
from ser_model.adaptation.taught_head import TaughtExample, fit_head
from ser_model.errors import AdaptationError, SerError
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.types import EmotionResult, Estimate, UnknownReason

TIME = "2026-11-22T08:44:01Z"


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return Model.load().metadata


def example(label: str, seed: int, hidden: int = 64) -> TaughtExample:
    """An example whose embedding has more of one direction for each label."""
    noise = np.random.default_rng(seed)
    embedding = noise.normal(0, 0.3, hidden)
    embedding[LABELS.index(label)] += 2
    return TaughtExample(label, noise.normal(0, 1, len(LABELS)), embedding)


def corrections(count: int) -> tuple[Correction, ...]:
    return tuple(Correction(example(LABELS[at % 8], at), TIME, f"u-{at + 1}") for at in range(count))


def result(utterance: int, reason: UnknownReason | None = None, *, empty: bool = False) -> EmotionResult:
    given = example("sad", utterance)
    estimate = Estimate(given.logits.astype(np.float32), given.embedding.astype(np.float32))
    scores = dict.fromkeys(LABELS, 1 / 8)
    return EmotionResult(
        utterance,
        True,
        "unknown" if reason else "sad",
        reason,
        "sad",
        0.5,
        scores,
        0,
        1,
        1,
        1,
        estimate=None if empty else estimate,
    )


def configured(tmp_path: Path, metadata: ModelMetadata, **settings: str) -> AdaptationSession:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), **settings}
    return make_session(load_config(environ=environ, default_files=[]), metadata, environ)


def make_profile(tmp_path: Path, metadata: ModelMetadata, taught: object, model: str | None = None) -> Path:
    path = tmp_path / "ser-daemon" / "speakers" / "anna.json"
    statistics = Statistics(45.0, np.array(metadata.mean), np.linspace(-0.4, 0.4, 8))
    write_data(path, statistics.to_data(model or model_version(metadata)) | {"taught": taught})
    return path


def test_the_last_200_utterances_can_be_found_by_name_or_as_the_last() -> None:
    recent = RecentUtterances()
    with pytest.raises(SerError, match="no utterance is kept yet"):
        recent.find("last")
    for number in range(1, KEPT + 3):
        recent.add(f"u-{number}", result(number))
    assert recent.find("last").utterance_id == f"u-{KEPT + 2}"
    assert recent.find("u-3").utterance_id == "u-3"
    with pytest.raises(SerError, match="u-2 is not kept any more: only the last 200 utterances are"):
        recent.find("u-2")
    with pytest.raises(SerError, match="There is no utterance u-999: the last one that has ended is u-202"):
        recent.find("u-999")


def test_what_was_no_speech_or_too_short_cannot_be_corrected() -> None:
    recent = RecentUtterances()
    recent.add("u-1", result(1, "too-short"))
    recent.add("u-2", result(2, "low-confidence"))
    recent.add("u-3", result(3, "unlike-speech"))
    recent.add("u-4", result(4, empty=True))
    assert recent.find("u-2").estimate is not None
    for name, text in (
        ("u-1", "u-1 was too short; such an utterance can't be corrected."),
        ("u-3", "u-3 was unlike speech; such"),
        ("last", "u-4, the last utterance, was too short; such"),
    ):
        with pytest.raises(SerError, match=re.escape(text)):
            recent.find(name)
    # The numbers of what can't be corrected are not kept either.
    assert all(one.estimate is None for one in recent._kept if one.problem)


def test_a_second_correction_of_an_utterance_replaces_the_first() -> None:
    some = corrections(3)
    again = Correction(example("angry", 9), TIME, "u-2")
    assert add_correction(some, again, None) == (some[0], some[2], again)
    # Utterances of an earlier run have no name, and another one by the same name is another one.
    stored = tuple(Correction(one.example, one.time) for one in some)
    assert len(add_correction(stored, again, None)) == 4


def test_the_best_explained_of_the_oldest_goes_first() -> None:
    some = list(corrections(MOST_CORRECTIONS))
    head = fit_head([one.example for one in some], 1.0)
    assert head is not None
    # One of the oldest is exactly what the head expects of its label, and so is a newer one.
    clear = example("happy", 2)
    clear.logits[LABELS.index("happy")] = 9
    for at in (50, 150):
        some[at] = Correction(clear, TIME, f"u-{at + 1}")
    kept = add_correction(some, Correction(example("sad", 1), TIME, "u-501"), head)
    assert len(kept) == MOST_CORRECTIONS
    assert {one.utterance_id for one in some} - {one.utterance_id for one in kept} == {"u-51"}
    assert kept[-1].utterance_id == "u-501"
    assert add_correction(some, Correction(example("sad", 1), TIME, "u-501"), None)[0].utterance_id == "u-2"


def test_corrections_are_read_as_they_were_written(tmp_path: Path, metadata: ModelMetadata) -> None:
    some = corrections(MOST_CORRECTIONS)
    CorrectionFile(tmp_path, metadata).store(some)
    path = tmp_path / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 500_000
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    read = CorrectionFile(tmp_path, metadata).load()
    assert [(one.example.label, one.time) for one in read] == [(one.example.label, one.time) for one in some]
    assert {one.utterance_id for one in read} == {""}
    np.testing.assert_allclose(read[7].example.embedding, some[7].example.embedding, atol=1e-5)


def test_corrections_of_another_model_are_neither_used_nor_lost(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / FILE_NAME
    CorrectionFile(tmp_path, metadata).store(corrections(2))
    data = json.loads(path.read_text())
    [own] = data["models"].values()
    path.write_text(json.dumps({"format": 1, "models": {"reslstm-sa-h32 0123": own}}))
    file = CorrectionFile(tmp_path, metadata)
    with caplog.at_level(logging.INFO):
        assert file.load() == ()
    assert len(caplog.records) == 1
    assert "'reslstm-sa-h32 0123', but the model is" in caplog.text
    file.store(corrections(1))
    models = json.loads(path.read_text())["models"]
    assert models["reslstm-sa-h32 0123"] == own
    assert len(models[model_version(metadata)]) == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2, "models": {}}',
        '{"format": 1}',
        '{"format": 1, "models": {"MODEL": 3}}',
        '{"format": 1, "models": {"MODEL": [{}]}}',
        '{"format": 1, "models": {"MODEL": [EXAMPLE]}}',
        " " * 5_000_000,
    ],
)
def test_a_damaged_file_is_ignored_with_one_warning_that_names_it(
    tmp_path: Path, metadata: ModelMetadata, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    # The example has no time.
    text = content.replace("EXAMPLE", json.dumps(example("sad", 1).to_data()))
    (tmp_path / FILE_NAME).write_text(text.replace("MODEL", model_version(metadata)))
    assert CorrectionFile(tmp_path, metadata).load() == ()
    assert len(caplog.records) == 1
    assert str(tmp_path / FILE_NAME) in caplog.text
    assert "the next correction replaces" in caplog.text


def test_a_file_that_cannot_be_written_or_removed_is_one_sentence(tmp_path: Path, metadata: ModelMetadata) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SerError, match=r"In force until the next start only: .*taught\.json can't be written"):
        CorrectionFile(tmp_path / "file" / "state", metadata).store(corrections(1))
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(SerError, match=r"Forgotten until the next start only: .*taught\.json can't be removed"):
        CorrectionFile(tmp_path, metadata).forget()


def test_a_write_that_hung_while_all_was_forgotten_writes_nothing(tmp_path: Path, metadata: ModelMetadata) -> None:
    file = CorrectionFile(tmp_path, metadata)
    file.store(corrections(2))
    assert file.forget()
    file._replace()
    assert list(tmp_path.iterdir()) == []
    assert not file.forget()


@pytest.mark.timing
def test_a_head_is_fitted_to_500_examples_within_50_ms(metadata: ModelMetadata) -> None:
    teaching = Teaching(metadata)
    some = corrections(MOST_CORRECTIONS)
    teaching.lesson = Lesson(some, fit_head([one.example for one in some], 1.0))
    spent = []
    for _ in range(5):
        # The thread's own time: other programs may take the processor.
        start = time.thread_time()
        lesson = teaching.with_correction(Correction(example("sad", 1), TIME, "u-501"))
        spent.append(time.thread_time() - start)
    assert lesson.head is not None
    assert lesson.head.examples == 500
    assert min(spent) < 0.05


def test_profile_and_corrections_share_the_room() -> None:
    many, few = ([example("sad", at) for at in range(count)] for count in (700, 24))
    assert choose_examples(few, many) == [*few, *many[-476:]]
    assert choose_examples(many, many) == [*many[-250:], *many[-250:]]
    assert choose_examples(many, few) == [*many[-476:], *few]
    assert choose_examples(many, []) == many[-500:]
    assert choose_examples([], few) == few


def test_pages_give_all_examples_once(metadata: ModelMetadata) -> None:
    profile = [example("happy", at) for at in range(PAGE + 3)]
    teaching = Teaching(metadata, profile)
    some = corrections(2 * PAGE)
    teaching.lesson = Lesson(some, None)
    found, start = [], 0
    while start is not None:
        page = teaching.page(start)
        assert len(json.dumps(page)) < 31_000
        found += page["examples"]
        start = page["next"]
    assert found == [
        *({"source": "profile", **one.to_data()} for one in profile),
        *({"source": "correction", **one.to_data()} for one in some),
    ]
    assert Teaching(metadata).page(0)["examples"] == []
    assert teaching.page(1_000_000) == {"model": teaching.model, "examples": [], "next": None}


def test_a_profile_that_was_taught_is_used_with_and_without_learning_and_for_a_recording(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    make_profile(tmp_path, metadata, [example(label, 1).to_data() for label in ("sad", "happy")])
    for settings in ({}, {"SER_ADAPTATION_RUNNING": "false"}, {"SER_AUDIO_DEVICE": "file:speech.wav"}):
        session = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna", **settings)
        assert session.adaptation is not None
        assert (session.name, session.seconds, session.adaptation.offset.taught) == ("taught", 45, 2)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("taught", "problem"),
    [
        ({}, "taught: expected a list of examples, found dict"),
        ([3], "expected examples"),
        ([{"label": "bored"}], "'bored', which is none of"),
        ([{"label": "sad", "logits": [0] * 8, "embedding": [0] * 63}], "embedding of an example: expected 64 numbers"),
        ([{"label": "sad", "logits": [1e9] * 8, "embedding": [0] * 64}], "expected numbers up to"),
    ],
)
def test_a_profile_with_damaged_examples_is_ignored_with_its_path(
    tmp_path: Path, metadata: ModelMetadata, taught: object, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_profile(tmp_path, metadata, taught)
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna").name == "none"
    assert len(caplog.records) == 1
    assert f"Speaker's profile ignored: {path}: " in caplog.text
    assert problem in caplog.text


def test_a_taught_profile_of_another_model_says_that_the_voice_has_to_be_taught_again(
    tmp_path: Path, metadata: ModelMetadata
) -> None:
    path = make_profile(tmp_path, metadata, [example("sad", 1).to_data()], "reslstm-sa-h32 0123456789ab")
    with pytest.raises(AdaptationError, match=r"the voice has to be taught again, as no recordings are kept$"):
        find_speaker("anna", metadata, [path.parent])
    make_profile(tmp_path, metadata, [], "reslstm-sa-h32 0123456789ab")
    with pytest.raises(AdaptationError) as caught:
        find_speaker("anna", metadata, [path.parent])
    assert "again" not in str(caught.value)


def test_a_large_profile_is_read(tmp_path: Path, metadata: ModelMetadata) -> None:
    path = make_profile(tmp_path, metadata, [example(LABELS[at % 8], at).to_data() for at in range(600)])
    assert path.stat().st_size > 300_000
    assert len(find_speaker("anna", metadata, [path.parent]).taught) == 600


def test_corrections_are_read_only_where_they_are_on_and_never_for_a_recording(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    CorrectionFile(tmp_path / "state" / "ser-daemon", metadata).store(corrections(4))
    on = {"SER_ADAPTATION_CORRECTIONS": "true"}
    for settings in (on, on | {"SER_ADAPTATION_RUNNING": "false"}):
        session = configured(tmp_path, metadata, **settings)
        assert session.adaptation is not None
        assert (session.name, session.adaptation.offset.taught) == ("taught", 4)
    for settings, word in (({}, "adaptation.corrections"), (on | {"SER_AUDIO_DEVICE": "file:speech.wav"}, "recording")):
        session = configured(tmp_path, metadata, **settings)
        assert session.name == "none"
        assert session.teaching is not None
        session.heard("u-1", result(1))
        with pytest.raises(SerError, match=word):
            session.teaching.check()
        with pytest.raises(SerError, match="no utterance is kept"):
            session.teaching.utterances.find("last")
    assert caplog.records == []
