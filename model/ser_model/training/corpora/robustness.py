"""`ser-model robustness` of a run on several corpora: strangers of a corpus left out, under acoustic conditions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_model.audio.files import read_audio
from ser_model.config import GateConfig
from ser_model.labels import LABELS
from ser_model.training.corpora.corpora_run import CorporaRun, open_corpora, reopen_run
from ser_model.training.corpora.held_out import HeldOut, load_network
from ser_model.training.data.acoustic_conditions import CLEAN, CONDITIONS, Condition, apply, load_held_out
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.dataset import RecordingFrames, extract_frames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.data.segmentation import segment, speech_extent
from ser_model.training.experiments.world import draw
from ser_model.training.experiments.world_metrics import Answers, Metrics, measure
from ser_model.training.files import write_json
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import predict
from ser_model.training.processes import new_pool
from ser_model.training.scores import posterior


def robustness_of_corpora(
    folder: Path, *, noise: Path | None, rooms: Path | None, limit: int | None, workers: int | None
) -> None:
    """Print the UAR of the networks of seed 0 on the corpus that each never heard; write RUN/robustness.json.

    Args:
        folder: the folder of the run.
        noise: folder of noises, of which those held out from training are used; `None`: leave out noise.
        rooms: folder of room responses, likewise.
        limit: most recordings of a speaker and emotion; `None`: all.
        workers: number of processes; `None`: one per core.

    Raises:
        SerError: A folder is not what is expected, or a network is not trained.
    """
    run = reopen_run(folder, workers)
    held_out = load_held_out(noise, rooms)
    conditions = [
        one
        for one in (CLEAN, *CONDITIONS)
        if (held_out.noises or one.snr_db is None) and (held_out.rooms or not one.room)
    ]
    corpora = [_acted(run, corpus, limit) for corpus in open_corpora(run) if (corpus.emotions >= 0).any()]
    networks = [load_network(folder, HeldOut(0, corpus=one.name), run.config.variant) for one in corpora]
    rows = [
        _measure(corpus, network, conditions, held_out, workers)
        for corpus, network in zip(corpora, networks, strict=True)
    ]
    result: Metrics = {"limit": limit, "conditions": [one.title for one in conditions], "corpora": rows}
    write_json(folder / "robustness.json", result)
    _print(result)


def _acted(run: CorporaRun, corpus: LabelledCorpus, limit: int | None) -> LabelledCorpus:
    """The recordings with an emotion of the speakers that are not left out, some of each."""
    known = [
        at for at, one in enumerate(corpus.recordings) if one.emotion is not None and one.speaker not in run.left_out
    ]
    some = corpus.select(known)
    return some if limit is None else draw(some, limit, seed=0)


def _measure(
    corpus: LabelledCorpus,
    network: ResLstmSa,
    conditions: Sequence[Condition],
    held_out: AcousticEnvironment,
    workers: int | None,
) -> Metrics:
    with new_pool(workers) as pool:
        work = partial(_compute, conditions=conditions, held_out=held_out)
        steps = pool.imap(work, corpus.recordings, chunksize=4)
        by_recording = list(track(steps, f"{corpus.name}: {len(conditions)} conditions", len(corpus.recordings)))
    uar, missed = [], []
    for at in range(len(conditions)):
        rows = [one[at] for one in by_recording]
        counts = np.array([row.utterances for row in rows])
        found = np.flatnonzero(counts == 1)
        scores = np.full((len(rows), len(LABELS)), 1 / len(LABELS))
        scores[found] = posterior(predict(network, [rows[index].frames[0] for index in found]))
        uar.append(measure(corpus, Answers(scores, scores.argmax(axis=1), counts))["uar"])
        missed.append(float(np.mean(counts != 1)))
    return {"corpus": corpus.name, "recordings": len(corpus.recordings), "uar": uar, "missed_or_split": missed}


def _compute(
    recording: LabelledRecording, conditions: Sequence[Condition], held_out: AcousticEnvironment
) -> list[RecordingFrames]:
    """Frames of a recording under each condition."""
    samples = read_audio(recording.path)
    extent = speech_extent(samples)
    return [
        extract_frames(segment(apply(one, samples, held_out, recording.name), GateConfig(), extent))
        for one in conditions
    ]


def _print(result: Metrics) -> None:
    table = Table(title="points of UAR lost on a corpus that the network never heard; missed and split are errors")
    table.add_column("condition")
    for row in result["corpora"]:
        table.add_column(row["corpus"], justify="right")
    table.add_column("mean", justify="right")
    for at, title in enumerate(result["conditions"]):
        if at == 0:
            cells = [row["uar"][0] for row in result["corpora"]]
            table.add_row("UAR as recorded", *(f"{one:.3f}" for one in cells), f"{np.mean(cells):.3f}")
        else:
            lost = [100 * (row["uar"][0] - row["uar"][at]) for row in result["corpora"]]
            table.add_row(title, *(f"{one:.1f}" for one in lost), f"{np.mean(lost):.1f}")
    Console().print(table)
