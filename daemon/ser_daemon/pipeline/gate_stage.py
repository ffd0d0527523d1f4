"""From chunks to gated speech: clock, gate, and what is heard but not listened to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import SpeechAnalyzer, SpeechQueue, UseAnalyzer
from ser_daemon.sources.base import Chunk, boot_time
from ser_model.types import Block, GateEvent


class SpeechGate(Protocol):
    """What the capture loop needs of `ser_model.audio.gate.Gate`."""

    level_dbfs: float
    """Level of the last frame."""

    @property
    def speaking(self) -> bool:
        """An utterance is open."""

    @property
    def noise_floor_dbfs(self) -> float:
        """Level of what counts as silence."""

    @property
    def gain_db(self) -> float:
        """Gain of the copy that the detector hears."""

    def push(self, block: Block) -> Sequence[GateEvent]:
        """Hear a block."""

    def finish(self, cause: str = "closed") -> Sequence[GateEvent]:
        """End the open utterance."""


class GateStage:
    """Places chunks on the clock, shows them to the gate and puts the gate's events into the queue."""

    def __init__(self, gate: SpeechGate, queue: SpeechQueue) -> None:
        self.gate = gate
        self.clock = SampleClock()
        self._queue = queue
        self._ignored = 0
        """Samples since the gate last heard any."""
        self._base = 0
        """Utterances of earlier gates: a new gate counts from 1 again, the daemon does not."""
        self._last = 0
        """Number of the latest utterance."""

    def hear(self, chunk: Chunk, *, live: bool, reopened: bool, ignore: bool) -> Block:
        """Take a chunk that holds samples.

        Args:
            chunk: what the source gave.
            live: the source is a device.
            reopened: it was opened before this chunk.
            ignore: time passes, but the gate hears nothing.

        Returns:
            the chunk as placed on the clock
        """
        block = self.clock.place(chunk, live=live, reopened=reopened)
        if ignore:
            self._ignored += block.lost + len(block.samples)
        else:
            lost, self._ignored = block.lost + self._ignored, 0
            self._forward(self.gate.push(replace(block, lost=lost)), block.arrival, wait=not live)
        return block

    def end_utterance(self) -> None:
        """End the open utterance, if any, with what it had."""
        self._forward(self.gate.finish("closed"), boot_time())

    def exchange(self, gate: SpeechGate | None = None, analyzer: SpeechAnalyzer | None = None) -> None:
        """End the open utterance and go on with another gate, another analyzer or both."""
        self.end_utterance()
        if gate is not None:
            self.gate, self._base = gate, self._last
        if analyzer is not None:
            self._queue.put(UseAnalyzer(analyzer), arrival=boot_time())

    def _forward(self, events: Sequence[GateEvent], arrival: float, *, wait: bool = False) -> None:
        if not events:
            return
        self._last = self._base + events[-1].utterance
        if self._base:
            events = [replace(event, utterance=self._base + event.utterance) for event in events]
        self._queue.put(*events, arrival=arrival, wait=wait)
