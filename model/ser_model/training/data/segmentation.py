"""Segmentation of recordings by the gate: the utterances, and which of them hold the speech."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.types import SAMPLE_RATE, Block, GateEvent, Samples, SpeechAudio, SpeechEnded, SpeechStarted

PADDING: Final = SAMPLE_RATE
"""Samples of room noise before and after a recording, so that the gate opens and closes within it."""
_LOUD: Final = 10 ** (-30 / 20)
"""Speech extends from the first to the last 10 ms above this share of the peak."""

Extent = tuple[int, int]
"""First sample, and end (exclusive)."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The utterances that count, as one piece of sound."""

    samples: Samples
    """Sound from the first to the last utterance that counts."""
    utterances: int
    """Number of utterances that count: those that overlap with the speech, or all."""
    outside: int
    """Number of utterances outside the speech: other sounds that the gate took for speech."""
    progress: npt.NDArray[np.int64]
    """Samples, and voiced samples, up to the end of each block of the first utterance, shape (blocks, 2)."""

    @property
    def voiced(self) -> int:
        """Number of voiced samples of the first utterance; 0 if there is none."""
        return int(self.progress[-1, 1]) if len(self.progress) else 0

    def voiced_after(self, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of voiced samples among the first `ends` samples, shape as given."""
        if not len(self.progress):
            return np.zeros_like(ends)
        block = np.searchsorted(self.progress[:, 0], ends).clip(max=len(self.progress) - 1)
        return np.asarray(self.progress[block, 1])

    @classmethod
    def join(cls, parts: Sequence[Segmentation]) -> Segmentation:
        """Concatenate at least one segmentation into a single utterance."""
        before = np.cumsum([(0, 0), *((len(part.samples), part.voiced) for part in parts)], axis=0)
        progress = [part.progress + so_far for part, so_far in zip(parts, before[:-1], strict=True)]
        return cls(np.concatenate([part.samples for part in parts]), 1, 0, np.concatenate(progress))


def pad_with_room_noise(samples: Samples) -> Samples:
    """Add a second of noise before and after a recording, at the level of its quietest tenth."""
    quiet = np.sort(np.abs(samples))[: max(1, len(samples) // 10)].max(initial=1)
    rng = np.random.default_rng(len(samples))
    room = [rng.normal(0, quiet / 1.3, PADDING).astype(np.int16) for _ in range(2)]
    return np.concatenate((room[0], samples, room[1]))


def speech_extent(samples: Samples) -> Extent:
    """Extent of the speech of a clean recording within its padded form, as `docs/gate.md` defines it."""
    block = SAMPLE_RATE // 100
    levels = np.abs(samples[: len(samples) // block * block].astype(np.float64)).reshape(-1, block).max(axis=1)
    loud = np.flatnonzero(levels >= levels.max(initial=0) * _LOUD)
    first, last = (int(loud[0]) * block, (int(loud[-1]) + 1) * block) if len(loud) else (0, len(samples))
    return PADDING + first, PADDING + last


class _Utterance(NamedTuple):
    first: int
    """First sample, pre-roll included."""
    last: int
    onset: int
    offset: int
    progress: list[tuple[int, int]]


def segment(sound: Samples, config: GateConfig, speech: Extent | None = None) -> Segmentation:
    """Segment a sound with a new gate.

    Args:
        sound: int16 at 16 kHz, with room noise before the speech.
        config: settings of the gate.
        speech: extent of the speech; utterances outside do not count. `None`: every utterance counts.
    """
    gate = Gate(config)
    every = _utterances([*gate.push(Block(sound, 0)), *gate.finish()])
    kept = [one for one in every if speech is None or (one.onset < speech[1] and one.offset > speech[0])]
    samples = sound[kept[0].first : kept[-1].last] if kept else sound[:0]
    progress = np.array(kept[0].progress if kept else [], dtype=np.int64).reshape(-1, 2)
    return Segmentation(samples, len(kept), len(every) - len(kept), progress)


def _utterances(events: Iterable[GateEvent]) -> list[_Utterance]:
    out = []
    onset = 0
    pieces: list[SpeechAudio] = []
    for event in events:
        match event:
            case SpeechStarted():
                onset, pieces = event.onset, []
            case SpeechAudio():
                pieces.append(event)
            case SpeechEnded():
                first = pieces[0].start
                ends = [piece.start + len(piece.samples) for piece in pieces]
                progress = [(end - first, piece.voiced) for end, piece in zip(ends, pieces, strict=True)]
                out.append(_Utterance(first, ends[-1], onset, event.offset, progress))
    return out


def segment_clean(samples: Samples) -> Segmentation:
    """Segment a clean recording with the default gate."""
    return segment(pad_with_room_noise(samples), GateConfig(), speech_extent(samples))
