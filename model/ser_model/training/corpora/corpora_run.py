"""A run on several corpora: its settings, its recordings, and its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ser_model.errors import SerError
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.data.augment import check_folders
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.corpus_frames import build_frames
from ser_model.training.data.labelled_corpus import LabelledCorpus
from ser_model.training.files import write_json
from ser_model.training.folds.crossval import open_run
from ser_model.training.networks.fit_config import FitConfig

PLACES: Final = "corpora.json"
"""File of a run that says where its recordings are, so that later commands need not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporaRun:
    """What a run on several corpora is made of."""

    folders: tuple[tuple[str, Path], ...]
    """Name and folder of each corpus."""
    output: Path
    """Folder of the run."""
    config: FitConfig
    targets: TargetConfig
    variants: int
    """Augmented versions of each recording."""
    noise: Path | None = None
    """Folder of noises; `None`: generated ones only."""
    rooms: Path | None = None
    """Folder of room responses; `None`: none."""
    workers: int | None = None
    """Number of processes; `None`: one per core."""
    left_out: tuple[str, ...] = ()
    """Speakers, as CORPUS/SPEAKER, that no network hears."""


def open_corpora(run: CorporaRun) -> list[LabelledCorpus]:
    """Read the corpora, with the speakers that are left out later.

    Raises:
        SerError: A folder is not what is expected, or a speaker or corpus that is named is in none.
    """
    check_folders(run.noise, run.rooms)
    corpora = [open_corpus(folder, name) for name, folder in run.folders]
    names = [corpus.name for corpus in corpora]
    for name in names:
        if names.count(name) > 1:
            raise SerError(f"two corpora are called {name}; speakers are told apart by it, so give each its own name")
    _check_left_out(run.left_out, corpora)
    for name in run.targets.examples:
        if name not in names:
            raise SerError(f"--examples {name}: is none of the corpora, which are {', '.join(names)}")
    for name in run.targets.only_measured:
        if name not in names:
            raise SerError(f"--only-measure {name}: is none of the corpora, which are {', '.join(names)}")
    return corpora


def _check_left_out(left_out: Sequence[str], corpora: Sequence[LabelledCorpus]) -> None:
    by_name = {corpus.name: corpus for corpus in corpora}
    for speaker in left_out:
        corpus = by_name.get(speaker.partition("/")[0])
        if corpus is None:
            raise SerError(f"--leave-out {speaker}: is of none of the corpora, which are {', '.join(by_name)}")
        if speaker not in corpus.speakers:
            raise SerError(f"--leave-out {speaker}: {corpus.root} has no such speaker")
        if set(corpus.speakers) <= set(left_out):
            raise SerError(f"--leave-out: nobody is left in {corpus.root}; leave out the corpus instead")


def load_pool(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> RecordingPool:
    """Compute the frames of all recordings, or read them from the cache beside the run; leave out speakers."""
    parts = [
        build_frames(
            corpus,
            cache=run.output.parent / "cache",
            variants=run.variants,
            noise=run.noise,
            rooms=run.rooms,
            workers=run.workers,
        )
        for corpus in corpora
    ]
    return RecordingPool(tuple(part.without(run.left_out) for part in parts))


def _settings(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> dict[str, Any]:
    """Return the content of settings.json. A corpus is known by its name and a digest of its recordings."""
    digests = {corpus.name: hashlib.sha256("\n".join(corpus.identity).encode()).hexdigest() for corpus in corpora}
    return {
        "fit": asdict(run.config),
        "targets": {name: getattr(run.targets, name) for name in run.targets.__slots__},
        "corpora": digests,
        "variants": run.variants,
        "noise": run.noise is not None,
        "rooms": run.rooms is not None,
        "left_out": list(run.left_out),
    }


def keep_settings(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> None:
    """Create the folder of the run, or check that it has the same settings.

    Raises:
        SerError: It has others.
    """
    open_run(run.output, _settings(run, corpora))
    places = {
        "corpora": {name: str(folder.resolve()) for name, folder in run.folders},
        "noise": None if run.noise is None else str(run.noise),
        "rooms": None if run.rooms is None else str(run.rooms),
    }
    write_json(run.output / PLACES, places)


def is_corpus_name(text: str) -> bool:
    """Whether a text can name a corpus: letters, digits, - and _, as it becomes part of the names of files."""
    return text.replace("-", "").replace("_", "").isalnum()


def is_corpora_run(folder: Path) -> bool:
    """Whether a folder is that of a run on several corpora."""
    return (folder / PLACES).is_file()


def reopen_run(folder: Path, workers: int | None = None) -> CorporaRun:
    """Read the settings of a run from its folder.

    Raises:
        SerError: The folder is not that of a run on several corpora.
    """
    if not is_corpora_run(folder):
        raise SerError(f"{folder}: expected the --output folder of `ser-model cross-corpus`, found no {PLACES} in it")
    try:
        places, settings = (json.loads((folder / name).read_text()) for name in (PLACES, "settings.json"))
        optional = {name: None if places[name] is None else Path(places[name]) for name in ("noise", "rooms")}
        return CorporaRun(
            folders=tuple((name, Path(path)) for name, path in places["corpora"].items()),
            output=folder,
            config=FitConfig(**{**settings["fit"], "crop_seconds": tuple(settings["fit"]["crop_seconds"])}),
            targets=_read_targets(settings["targets"]),
            variants=int(settings["variants"]),
            workers=workers,
            left_out=tuple(settings["left_out"]),
            **optional,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SerError(f"{folder}: its {PLACES} or settings.json is damaged ({error!r}); train it again") from error


def _read_targets(values: dict[str, Any]) -> TargetConfig:
    return TargetConfig(
        votes=float(values["votes"]),
        all_classes=bool(values["all_classes"]),
        ordinary=bool(values["ordinary"]),
        only_measured=tuple(values["only_measured"]),
        never=tuple(values["never"]),
        teachers=float(values.get("teachers", 0)),
        examples=dict(values["examples"]),
    )
