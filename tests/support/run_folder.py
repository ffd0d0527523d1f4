"""A small replacement of RAVDESS, and a training run whose networks always answer the number of their fold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from support.speech import sentence

EMOTIONS = (1, 5)
"""Emotion codes of every actor's recordings. The index of a label is one less."""


def make_corpus(root: Path, emotions: Sequence[int] = EMOTIONS) -> Path:
    """Write one sentence per actor and emotion: the same recording at different pitches."""
    import soundfile

    spoken = sentence()
    for actor in range(1, 25):
        folder = root / f"Actor_{actor:02d}"
        folder.mkdir(parents=True)
        for emotion in emotions:
            path = folder / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            soundfile.write(path, spoken, 12_000 + 1_000 * emotion + 20 * actor)
    return root


def make_run(corpus: Path, folder: Path, seeds: int = 1) -> Path:
    """Write the files of `ser-model train`, with networks that are not trained: fold 3 always answers class 3."""
    import torch

    from ser_model.training.data.corpus import find_recordings
    from ser_model.training.folds.jobs import FOLDS, SPLITS, Job
    from ser_model.training.networks.architecture import VARIANTS, ResLstmSa

    folder.mkdir(parents=True)
    recordings = find_recordings(corpus).recordings
    rows = [[recording.name, recording.emotion, recording.actor] for recording in recordings]
    (folder / "recordings.json").write_text(json.dumps(rows))
    (folder / "settings.json").write_text(json.dumps({"fit": {"variant": "h32"}}))
    for seed in range(seeds):
        for fold in FOLDS:
            torch.manual_seed(fold)
            network = ResLstmSa(VARIANTS["h32"])
            with torch.no_grad():
                network.std.fill_(10.0)
                network.classifier.weight.mul_(0.01)
                network.classifier.bias[fold] += 5.0
            for split in SPLITS:
                torch.save(network.state_dict(), folder / f"{Job(seed, fold, split).name}.pt")
    return folder
