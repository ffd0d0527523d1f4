"""The gate and the way behind it: whatever the blocks, no sample is lost or doubled."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz.invariants import require
from fuzz.target import register
from ser_daemon.pipeline.gate_stage import GateStage
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.sources.base import Chunk
from ser_model.audio.files import Resampler
from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.types import Block, GateEvent, Samples, SpeechAudio, SpeechEnded, SpeechStarted

KINDS = ("zeros", "room", "voice", "loud", "clipped", "extremes")

segments = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 24_000)), max_size=8)
blocks = st.lists(st.integers(0, 9000), min_size=1, max_size=12)
engines = st.sampled_from(["webrtc", "webrtc", "webrtc", "silero"])
gates = st.fixed_dictionaries(
    {"engine": engines},
    optional={
        "hangover_ms": st.integers(100, 1500),
        "min_speech_ms": st.integers(30, 400),
        "pre_roll_ms": st.integers(0, 600),
        "max_utterance_ms": st.integers(1000, 3000),
    },
)


def sound(parts: list[tuple[str, int]]) -> Samples:
    """The samples of some segments, always the same for the same segments."""
    rng = np.random.default_rng(len(parts))
    pieces = [np.zeros(0, np.int16)]
    for kind, count in parts:
        time = np.arange(count) / 16_000
        match kind:
            case "zeros":
                piece = np.zeros(count)
            case "room":
                piece = rng.normal(0, 20, count)
            case "voice" | "loud":
                pulses = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
                piece = pulses * (1 + np.sin(2 * np.pi * 4 * time)) * (2000 if kind == "voice" else 8000)
            case "clipped":
                piece = np.where(np.sin(2 * np.pi * 200 * time) > 0, 32767, -32768)
            case _:
                piece = rng.choice([-32768, 32767], count)
        pieces.append(np.clip(piece, -32768, 32767).astype(np.int16))
    return np.concatenate(pieces)


def cut(samples: Samples, lengths: list[int]) -> list[Samples]:
    """The samples in blocks of the lengths, again and again."""
    pieces, at, index = [], 0, 0
    while at < len(samples):
        # A block of 0 samples does not move on.
        length = lengths[index % len(lengths)] if any(lengths) else 1000
        pieces.append(samples[at : at + length])
        at, index = at + length, index + 1
    return pieces


def config(values: dict[str, Any]) -> GateConfig:
    """A configuration in which an utterance has room for what the others ask."""
    return GateConfig(**values)


@register("gate", st.tuples(gates, segments, blocks, blocks), quick=60, seconds=10.0)
def check_gate(example: tuple[Any, ...]) -> None:
    """The blocks have no influence, and an utterance's audio is what was pushed, once."""
    values, parts, first, second = example
    samples = sound(parts)
    told = [_push(Gate(config(values)), samples, lengths) for lengths in (first, second)]
    require(_plain(told[0]) == _plain(told[1]), "blocks have an influence", f"{len(told[0])} and {len(told[1])} events")
    check_events(told[0], samples)


def _push(gate: Gate, samples: Samples, lengths: list[int]) -> list[GateEvent]:
    events, at = [], 0
    for piece in cut(samples, lengths):
        events += gate.push(Block(piece, at))
        at += len(piece)
    return [*events, *gate.finish()]


def _plain(events: list[GateEvent]) -> list[Any]:
    """Events that can be compared: the audio of an utterance in one piece."""
    plain: list[Any] = []
    for event in events:
        if isinstance(event, SpeechAudio):
            plain.append((event.utterance, event.start, event.samples.tobytes(), event.voiced, event.snr_db))
        else:
            plain.append(event)
    return plain


def check_events(events: list[GateEvent], samples: Samples) -> None:
    """Utterances are whole; their audio is contiguous, and equal to what came at that position."""
    number, opened, end, first = 0, False, 0, True
    for event in events:
        match event:
            case SpeechStarted():
                require(not opened and event.utterance == number + 1, "utterance out of order", repr(event))
                number, opened, first = event.utterance, True, True
            case SpeechAudio():
                require(opened and event.utterance == number, "audio without an utterance")
                require(event.start >= end if first else event.start == end, "samples lost or doubled", f"at {end}")
                end, first = event.start + len(event.samples), False
                require(np.array_equal(samples[event.start : end], event.samples), "other samples", f"at {end}")
            case SpeechEnded():
                require(opened and event.utterance == number, "end without an utterance")
                require(event.offset <= len(samples), "end after the audio")
                opened = False
    require(not opened, "utterance without an end")


class Everything:
    """A gate that takes all for speech, so that every sample can be counted."""

    level_dbfs = noise_floor_dbfs = gain_db = 0.0

    def __init__(self) -> None:
        self.count = 0
        self.opened = False
        self.end = 0

    def push(self, block: Block) -> list[GateEvent]:
        """Pass the block on."""
        events = self.finish("gap") if block.lost else []
        if not self.opened:
            self.count, self.opened = self.count + 1, True
            events.append(SpeechStarted(self.count, block.start))
        self.end = block.end
        return [*events, SpeechAudio(self.count, block.samples, block.start, 0)]

    def finish(self, cause: Any = "closed") -> list[GateEvent]:
        """End the utterance."""
        if not self.opened:
            return []
        self.opened = False
        return [SpeechEnded(self.count, self.end, 0, cause)]


stage_steps = st.lists(
    st.one_of(
        st.tuples(st.just("chunk"), st.integers(1, 4000), st.integers(0, 3000), st.booleans(), st.booleans()),
        st.tuples(st.just("chunk"), st.integers(1, 4000), st.just(0), st.just(False), st.just(False)),
        st.tuples(st.just("end")),
        st.tuples(st.just("gate")),
        st.tuples(st.just("take"), st.integers(1, 6)),
    ),
    max_size=40,
)


@register("pipeline", st.tuples(st.booleans(), st.integers(500, 30_000), stage_steps), quick=200, seconds=3.0)
def check_pipeline(example: tuple[bool, int, list[Any]]) -> None:
    """From chunks to the inference thread: each sample once, dropped and counted, or ignored as asked."""
    live, capacity, plan = example
    queue = SpeechQueue(capacity)
    stage = GateStage(Everything(), queue)
    came = longest = 0
    now, items = 1000.0, []

    def take(count: int) -> None:
        for _ in range(count):
            if not queue._items and not queue._closed:
                return
            entry = queue.get()
            if entry is None:
                return
            items.append(entry[0])

    for step in plan:
        match step:
            case ("chunk", count, late_ms, ignore, overflowed):
                now += count / 16_000
                came += 0 if ignore else count
                if not live:
                    # A file waits for room, and nobody would make it here.
                    take(10**6)
                piece = np.arange(count, dtype=np.int16)
                stage.process(Chunk(piece, now + late_ms / 1000, overflowed), live=live, reopened=False, ignore=ignore)
                longest = max(longest, count)
                fits = queue.waiting <= max(capacity, longest)
                require(fits, "queue over its bound", f"{queue.waiting} samples of {capacity}")
            case ("end",):
                stage.end_utterance()
            case ("gate",):
                stage.use_gate(Everything())
            case ("take", count):
                take(count)
    stage.end_utterance()
    queue.close()
    take(10**6)
    heard = sum(len(item.samples) for item in items if isinstance(item, SpeechAudio))
    require(heard + queue.dropped == came, "samples lost or doubled", f"{heard} + {queue.dropped} of {came}")
    numbers = [item.utterance for item in items if isinstance(item, SpeechStarted)]
    ends = [item.utterance for item in items if isinstance(item, SpeechEnded)]
    require(numbers == ends == list(range(1, len(numbers) + 1)), "start or end lost", f"{numbers} and {ends}")


@register(
    "resampler",
    st.tuples(st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000, 192_000]), st.integers(1, 4), segments, blocks),
    quick=40,
    seconds=5.0,
)
def check_resampler(example: tuple[Any, ...]) -> None:
    """The pieces have no influence on what comes out."""
    rate, channels, parts, lengths = example
    samples = sound(parts)
    frames = np.stack([samples] * channels, axis=1).astype(np.float32) / 32768
    told = []
    for pieces in ([frames], cut(frames, lengths)):  # type: ignore[arg-type]
        resampler = Resampler(rate, channels)
        told.append(np.concatenate([np.zeros(0, np.int16), *map(resampler.push, pieces), resampler.flush()]))
    require(np.array_equal(*told), "pieces have an influence", f"{len(told[0])} and {len(told[1])} samples")
    require(abs(len(told[0]) - len(samples) * 16_000 / rate) <= 2, "length changed", str(len(told[0])))
