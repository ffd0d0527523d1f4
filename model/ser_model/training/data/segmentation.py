"""What the gate makes of a recording: the utterances in it, and which of them hold its speech."""

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
"""Samples of room before and after a recording, so that the gate opens and closes by itself."""
_LOUD: Final = 10 ** (-30 / 20)
"""Speech is what lies between the first and the last 10 ms above this share of the loudest."""

Extent = tuple[int, int]
"""First sample, and the sample after the last."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What passed."""

    samples: Samples
    """From the first utterance that counts to the last."""
    utterances: int
    """How many count: all, or those that overlap with the speech."""
    beside: int
    """How many don't: something else was taken for speech."""
    progress: npt.NDArray[np.int64]
    """How many of the samples had been heard, and how many of these were voiced, after each piece of the first that
    counts, shape (pieces, 2)."""

    @property
    def voiced(self) -> int:
        """Voiced samples of the first that counts; 0 without one."""
        return int(self.progress[-1, 1]) if len(self.progress) else 0

    def voiced_after(self, heard: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Voiced samples when so many of the samples had been heard, shape as given."""
        if not len(self.progress):
            return np.zeros_like(heard)
        piece = np.searchsorted(self.progress[:, 0], heard).clip(max=len(self.progress) - 1)
        return np.asarray(self.progress[piece, 1])

    @classmethod
    def join(cls, parts: Sequence[Segmentation]) -> Segmentation:
        """Some one after the other, as one utterance; at least one of them."""
        before = np.cumsum([(0, 0), *((len(part.samples), part.voiced) for part in parts)], axis=0)
        progress = [part.progress + so_far for part, so_far in zip(parts, before[:-1], strict=True)]
        return cls(np.concatenate([part.samples for part in parts]), 1, 0, np.concatenate(progress))


def pad_with_room_noise(samples: Samples) -> Samples:
    """A recording with a second before and after it, at the level of its own quietest moments."""
    quiet = np.sort(np.abs(samples))[: max(1, len(samples) // 10)].max(initial=1)
    rng = np.random.default_rng(len(samples))
    room = [rng.normal(0, quiet / 1.3, PADDING).astype(np.int16) for _ in range(2)]
    return np.concatenate((room[0], samples, room[1]))


def speech_extent(samples: Samples) -> Extent:
    """Where the speech of a clean recording lies in `pad_with_room_noise` of it, as `docs/gate.md` defines it."""
    block = SAMPLE_RATE // 100
    levels = np.abs(samples[: len(samples) // block * block].astype(np.float64)).reshape(-1, block).max(axis=1)
    loud = np.flatnonzero(levels >= levels.max(initial=0) * _LOUD)
    first, last = (int(loud[0]) * block, (int(loud[-1]) + 1) * block) if len(loud) else (0, len(samples))
    return PADDING + first, PADDING + last


class _Utterance(NamedTuple):
    first: int
    """Where its samples begin, pre-roll included."""
    last: int
    onset: int
    offset: int
    progress: list[tuple[int, int]]


def segment(whole: Samples, config: GateConfig, speech: Extent | None = None) -> Segmentation:
    """Let a new gate hear a sound.

    Args:
        whole: int16 at 16 kHz, with some room before what matters.
        config: of the gate.
        speech: where the speech lies; an utterance elsewhere is another sound, not a piece of this speech. None:
            every utterance counts.
    """
    gate = Gate(config)
    every = _utterances([*gate.push(Block(whole, 0)), *gate.finish()])
    kept = [one for one in every if speech is None or (one.onset < speech[1] and one.offset > speech[0])]
    samples = whole[kept[0].first : kept[-1].last] if kept else whole[:0]
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
    """What the gate as shipped makes of a clean recording."""
    return segment(pad_with_room_noise(samples), GateConfig(), speech_extent(samples))
