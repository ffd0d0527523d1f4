"""`ser-model robustness`: the accuracy under acoustic conditions that are held out from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from inspect import getsource
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_model.audio.files import read_audio
from ser_model.config import GateConfig
from ser_model.training.data import acoustic_conditions
from ser_model.training.data.acoustic_conditions import CLEAN, CONDITIONS, Condition, apply, load_held_out, noise_kinds
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.corpus import Corpus, Recording
from ser_model.training.data.dataset import Dataset, RecordingFrames, build, cache_path, extract_frames, load, save
from ser_model.training.data.segmentation import segment, speech_extent
from ser_model.training.experiments.robustness_tables import print_result
from ser_model.training.files import write_json
from ser_model.training.folds.metrics import Metrics, uar_metrics
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.inference import predict
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
    """Print the accuracy of the test networks under every condition, and write RUN/robustness.json.

    Args:
        folder: the folder of the run.
        data: the recordings of the run.
        noise: folder of noises, of which those held out from training are used; `None`: leave out noise.
        rooms: folder of room responses, likewise.
        seeds: number of seeds to evaluate, from the first; `None`: all.
        workers: number of processes; `None`: one per core.

    Raises:
        SerError: A folder is not what is expected.
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
    datasets = {CLEAN: build(corpus, cache=cache, workers=workers)}
    names = [recording.name for recording in corpus.recordings]
    paths = {
        condition: cache_path(cache, names, getsource(acoustic_conditions), asdict(condition), str(noise), str(rooms))
        for condition in wanted
    }
    missing = {condition: path for condition, path in paths.items() if not path.exists()}
    compute_frames(corpus, missing, held_out, workers)
    datasets |= {condition: load(path, corpus) for condition, path in paths.items()}
    result = score(run, datasets, noise_kinds(held_out, run.names))
    write_json(folder / "robustness.json", result)
    print_result(result, [condition.title for condition in CONDITIONS if condition not in wanted])


def compute_frames(
    corpus: Corpus, paths: dict[Condition, Path], held_out: AcousticEnvironment, workers: int | None
) -> None:
    """Apply each condition to every recording, and save the frames at the path of the condition."""
    if not paths:
        return
    with new_pool(workers, _start_worker, (held_out,)) as pool:
        for condition, path in paths.items():
            tasks = [(condition, recording) for recording in corpus.recordings]
            save(path, list(track(pool.imap(_compute, tasks, chunksize=4), condition.title, len(tasks))))


def _start_worker(held_out: AcousticEnvironment) -> None:
    global _held_out
    _held_out = held_out


def _compute(task: tuple[Condition, Recording]) -> RecordingFrames:
    condition, recording = task
    samples = read_audio(recording.path)
    changed = apply(condition, samples, _held_out, recording.name)
    return extract_frames(segment(changed, GateConfig(), speech_extent(samples)))


def score(run: RunFolder, datasets: dict[Condition, Dataset], kinds: npt.NDArray[np.str_]) -> Metrics:
    """UAR under every condition, its loss against clean recordings, and the shares that the gate missed or split.

    Args:
        run: the run.
        datasets: the recordings under each condition, clean first.
        kinds: kind of noise of each recording in the noisy conditions; empty if there are none.
    """
    predicted: dict[Condition, list[Classes]] = {condition: [] for condition in datasets}
    for seed in track(run.seeds, "networks"):
        classes_of = _predict(run, seed, list(datasets.values()))
        for condition, classes in zip(datasets, classes_of, strict=True):
            predicted[condition].append(classes)
    rows: Metrics = {}
    for condition, dataset in datasets.items():
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
    """For each kind of noise the number of recordings with it, and the points of accuracy that it costs."""
    lost = np.mean([(one == truth) * 1.0 - (other == truth) for one, other in zip(clean, noisy, strict=True)], axis=0)
    return {
        str(kind): {"recordings": int(np.sum(kinds == kind)), "loss_points": 100 * float(lost[kinds == kind].mean())}
        for kind in np.unique(kinds)
    }


def _predict(run: RunFolder, seed: int, datasets: Sequence[Dataset]) -> list[Classes]:
    """Classes of all recordings in every dataset; `MISSED` where the gate did not find exactly one utterance."""
    out = [np.full(len(run.names), MISSED, dtype=np.int64) for _ in datasets]
    for network, index in run.networks(seed):
        for dataset, classes in zip(datasets, out, strict=True):
            single = index[dataset.utterances[index] == 1]
            classes[single] = predict(network, [dataset.frames[at][0] for at in single]).argmax(axis=1)
    return out
