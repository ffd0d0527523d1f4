"""How much of the accuracy is left under conditions that training never heard, through the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from inspect import getsource
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_model.audio.files import read_audio
from ser_model.config import GateConfig
from ser_model.training.data import acoustic_conditions
from ser_model.training.data.acoustic_conditions import CLEAN, CONDITIONS, Condition, apply, load_held_out, noise_index
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.corpus import Corpus, Recording
from ser_model.training.data.dataset import Dataset, RecordingFrames, build, cache_path, extract_frames, load, save
from ser_model.training.data.segmentation import segment, speech_extent
from ser_model.training.files import write_json
from ser_model.training.folds.metrics import Metrics, format_metric, uar_metrics
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.fit import predict
from ser_model.training.processes import new_pool
from ser_model.training.scores import MISSED, Classes

_held_out: AcousticEnvironment


def robustness(
    folder: Path,
    data: Path,
    *,
    noise: Path | None,
    rooms: Path | None,
    seeds: int | None = None,
    workers: int | None = None,
) -> None:
    """Print how a run's test networks fare under every condition, and write RUN/robustness.json.

    Args:
        folder: the run.
        data: its recordings.
        noise: folder of noises, of which those kept from training are used; None: no noise is measured.
        rooms: the same of room responses.
        seeds: measure only the first so many; None: all.
        workers: processes; None: one per core.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run = RunFolder.open(folder, seeds)
    corpus = run.corpus(data)
    held_out = load_held_out(noise, rooms)
    wanted = [
        condition
        for condition in CONDITIONS
        if (held_out.noises or condition.snr_db is None) and (held_out.rooms or not condition.room)
    ]
    cache = folder.parent / "cache"
    heard = {CLEAN: build(corpus, cache=cache, workers=workers)}
    paths = {
        condition: cache_path(cache, corpus, getsource(acoustic_conditions), asdict(condition), str(noise), str(rooms))
        for condition in wanted
    }
    hear_under(corpus, {condition: path for condition, path in paths.items() if not path.exists()}, held_out, workers)
    heard |= {condition: load(path, corpus) for condition, path in paths.items()}
    kinds = [held_out.kinds[noise_index(name, len(held_out.noises))] for name in run.names] if held_out.noises else []
    result = score(run, heard, np.array(kinds))
    write_json(folder / "robustness.json", result)
    _print(result)
    left_out = [condition.title for condition in CONDITIONS if condition not in wanted]
    if left_out:
        Console().print(f"Left out for want of --noise or --rooms: {'; '.join(left_out)}.")


def hear_under(corpus: Corpus, todo: dict[Condition, Path], held_out: AcousticEnvironment, workers: int | None) -> None:
    """Put every recording under each condition, through the gate, and keep its frames at the condition's path."""
    if not todo:
        return
    with new_pool(workers, _start_worker, (held_out,)) as pool:
        for condition, path in todo.items():
            tasks = [(condition, recording) for recording in corpus.recordings]
            save(path, list(track(pool.imap(_hear, tasks, chunksize=4), condition.title, len(tasks))))


def _start_worker(held_out: AcousticEnvironment) -> None:
    global _held_out
    _held_out = held_out


def _hear(task: tuple[Condition, Recording]) -> RecordingFrames:
    condition, recording = task
    samples = read_audio(recording.path)
    return extract_frames(
        segment(apply(condition, samples, _held_out, recording.name), GateConfig(), speech_extent(samples))
    )


def score(run: RunFolder, heard: dict[Condition, Dataset], kinds: npt.NDArray[np.str_]) -> Metrics:
    """UAR under every condition, its loss against clean, and what the gate missed or split.

    Args:
        run: whose networks answer.
        heard: the recordings under each condition, clean first.
        kinds: which kind of noise each recording got in the noisy conditions; empty: there are none.
    """
    predicted: dict[Condition, list[Classes]] = {condition: [] for condition in heard}
    for seed in track(run.seeds, "networks"):
        answers = _answer(run, seed, list(heard.values()))
        for condition, classes in zip(heard, answers, strict=True):
            predicted[condition].append(classes)
    rows: Metrics = {}
    for condition, dataset in heard.items():
        row = uar_metrics(run.emotions, run.actors, predicted[condition])
        clean = rows.get(CLEAN.name, row)["uar"]["mean"]
        rows[condition.name] = {
            "title": condition.title,
            **row,
            "loss_points": 100 * (clean - row["uar"]["mean"]),
            "missed": float(np.mean(dataset.utterances == 0)),
            "split": float(np.mean(dataset.utterances > 1)),
        }
        if condition.snr_db is not None:
            rows[condition.name]["by_noise"] = _by_noise(run.emotions, predicted[CLEAN], predicted[condition], kinds)
    return {"recordings": len(run.names), "seeds": list(run.seeds), "conditions": rows}


def _by_noise(
    truth: Classes, clean: Sequence[Classes], noisy: Sequence[Classes], kinds: npt.NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """By kind of noise how many recordings got it, and the points of accuracy that it cost on them."""
    lost = np.mean([(one == truth) * 1.0 - (other == truth) for one, other in zip(clean, noisy, strict=True)], axis=0)
    return {
        str(kind): {"recordings": int(np.sum(kinds == kind)), "loss_points": 100 * float(lost[kinds == kind].mean())}
        for kind in np.unique(kinds)
    }


def _answer(run: RunFolder, seed: int, datasets: Sequence[Dataset]) -> list[Classes]:
    """Classes of all recordings in every dataset, MISSED where the gate didn't hear exactly one utterance."""
    out = [np.full(len(run.names), MISSED, dtype=np.int64) for _ in datasets]
    for network, index in run.networks(seed):
        for dataset, classes in zip(datasets, out, strict=True):
            whole = index[dataset.utterances[index] == 1]
            classes[whole] = predict(network, [dataset.frames[at][0] for at in whole]).argmax(axis=1)
    return out


def _print(result: Metrics) -> None:
    table = Table(title=f"UAR, test actors of five folds, {len(result['seeds'])} seed(s); missed and split are errors")
    table.add_column("condition")
    for title in ("24 actors", "loss in points", "14 that never validate", "missed", "split"):
        table.add_column(title, justify="right")
    for row in result["conditions"].values():
        table.add_row(
            row["title"],
            format_metric(row["uar"]),
            f"{row['loss_points']:.1f}",
            format_metric(row["uar_14_actors"]),
            f"{row['missed']:.1%}",
            f"{row['split']:.1%}",
        )
    console = Console()
    console.print(table)
    noisy = [row for row in result["conditions"].values() if "by_noise" in row]
    if noisy:
        by_kind = Table(title="Points of accuracy that each kind of noise costs")
        for title in ("", "recordings", *(row["title"] for row in noisy)):
            by_kind.add_column(title, justify="right" if title else "left")
        for kind, one in noisy[0]["by_noise"].items():
            losses = [f"{row['by_noise'][kind]['loss_points']:.1f}" for row in noisy]
            by_kind.add_row(kind.replace("_", " "), str(one["recordings"]), *losses)
        console.print(by_kind)
