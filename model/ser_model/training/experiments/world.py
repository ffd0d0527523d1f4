"""`ser-model world`: a finished model on corpora that it never heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from ser_model.config import DecisionConfig
from ser_model.decision import Decision
from ser_model.errors import SerError
from ser_model.labels import LABELS, UNKNOWN
from ser_model.network.estimator import SHIPPED, Model
from ser_model.training.data.corpus_folder import is_corpus, open_corpus
from ser_model.training.data.corpus_frames import CorpusFrames, build_frames
from ser_model.training.data.labelled_corpus import LabelledCorpus
from ser_model.training.experiments.world_metrics import UNLABELLED, Answers, Metrics, measure
from ser_model.training.experiments.world_tables import print_result
from ser_model.training.files import write_json

SETTINGS = "settings.json"
"""A file that the folder of every run has."""


def world(
    paths: Sequence[Path],
    *,
    output: Path | None,
    cache: Path,
    limit: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Print how well a model does on each corpus, and write the figures as JSON.

    Args:
        paths: the corpora, after the model or the run if it is not the shipped model.
        output: the JSON file; `None`: world.json, in the folder of the run if there is one.
        cache: folder for the frames.
        limit: most recordings of a speaker and emotion; `None`: all.
        seed: seed of the choice of these.
        workers: number of processes; `None`: one per core.

    Raises:
        SerError: A path is neither a model nor a corpus, or a corpus has a fault.
    """
    stem, folders = split_paths(paths)
    corpora = [open_corpus(folder) for folder in folders]
    names = [corpus.name for corpus in corpora]
    for corpus in corpora:
        if names.count(corpus.name) > 1:
            raise SerError(f"{corpus.root}: another of the folders is called {corpus.name} too; rename one")
    model = Model.load(stem)
    rows = []
    for corpus in corpora:
        some = corpus if limit is None else draw(corpus, limit, seed)
        rows.append(measure(some, answer(model, build_frames(some, cache=cache, workers=workers))))
    result: Metrics = {
        "model": model.name,
        "training_data": model.metadata.training_data,
        "limit": limit,
        "corpora": rows,
    }
    write_json(output or _default_output(paths[0]), result)
    print_result(result, f"{model.name} on other corpora")


def split_paths(paths: Sequence[Path]) -> tuple[Path | None, Sequence[Path]]:
    """Return the path of the model, `None` for the shipped one, and the folders of the corpora.

    The first path is a model if it is the word for one in the package, or no folder; a run if it is the folder of one;
    and otherwise a corpus.

    Raises:
        SerError: There is no corpus, or the run is not exported.
    """
    first = paths[0]
    if first in SHIPPED and len(paths) > 1:
        return first, paths[1:]
    if is_corpus(first) or (first.is_dir() and not (first / SETTINGS).is_file()):
        return None, paths
    if len(paths) == 1:
        raise SerError(f"{first}: is no corpus folder (index.csv, or Actor_NN as in RAVDESS); name one or more")
    if not first.is_dir():
        return first, paths[1:]
    graphs = sorted(first.glob("*.window.onnx"))
    if len(graphs) != 1:
        raise SerError(
            f"{first}: expected one exported model in the folder of the run, found {len(graphs)}; "
            "run `ser-model train --final` and `ser-model export` first, or name the model"
        )
    return graphs[0], paths[1:]


def _default_output(first: Path) -> Path:
    return (first if (first / SETTINGS).is_file() else Path()) / "world.json"


def draw(corpus: LabelledCorpus, limit: int, seed: int) -> LabelledCorpus:
    """Draw at most `limit` recordings of each speaker and emotion; the others are dropped."""
    groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for at, one in enumerate(corpus.recordings):
        groups[one.speaker, one.emotion].append(at)
    rng = np.random.default_rng(seed)
    return corpus.select(sorted(at for own in groups.values() for at in rng.permutation(own)[:limit].tolist()))


def answer(model: Model, data: CorpusFrames) -> Answers:
    """Return the final results for all recordings, as a recognizer gives them."""
    decision = Decision(DecisionConfig(), model.metadata)
    scores = np.full((len(data.frames), len(LABELS)), 1 / len(LABELS))
    labels = np.full(len(data.frames), UNLABELLED, dtype=np.int64)
    rows = zip(data.frames, data.utterances, data.voiced, strict=True)
    for at, (versions, utterances, voiced) in enumerate(
        track(rows, f"{data.corpus.name}: answers", total=len(data.frames))
    ):
        if utterances and len(versions[0]):
            estimate = model.window(versions[0])
            final = decision.final(estimate.logits, int(voiced[-1]), estimate.embedding)
            scores[at] = list(final.scores.values())
            labels[at] = UNLABELLED if final.label == UNKNOWN else LABELS.index(final.label)
    return Answers(scores, labels, data.utterances)
