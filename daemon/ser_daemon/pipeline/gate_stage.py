"""The gate stage: it places chunks on the sample clock, runs the gate, and queues the gate's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.sources.base import Chunk, boot_time
from ser_model.types import SAMPLE_RATE, Block, EndCause, GateEvent, SpeechAudio

LONGEST_HELD = SAMPLE_RATE
"""Samples of speech that are held back at most, a tenth of what the queue takes."""


class SpeechGate(Protocol):
    """The part of `ser_model.audio.gate.Gate` that the capture thread uses."""

    @property
    def level_dbfs(self) -> float:
        """Level of the last frame."""

    @property
    def noise_floor_dbfs(self) -> float:
        """Level of what counts as silence."""

    @property
    def gain_db(self) -> float:
        """Gain of the copy that the voice activity detector processes."""

    def push(self, block: Block) -> Sequence[GateEvent]:
        """Process a block; return the events that follow from it."""

    def finish(self, cause: EndCause = "closed") -> Sequence[GateEvent]:
        """End the open utterance, if any."""


class GateStage:
    """Clock and gate of the capture thread, with its end of the speech queue.

    Speech is held back until the next update of the utterance is due: no result follows from less, so the inference
    thread would wake up for nothing.
    """

    def __init__(self, gate: SpeechGate, queue: SpeechQueue, update: int = 1) -> None:
        """Prepare to process.

        Args:
            gate: cuts the stream into utterances.
            queue: takes the gate's events.
            update: samples of speech from one update to the next.
        """
        self.gate = gate
        self.update = update
        self.clock = SampleClock()
        self._queue = queue
        self._ignored = 0
        """Samples ignored since the gate last got any."""
        self._base = 0
        """Utterances of earlier gates: a new gate counts from 1 again, the daemon does not."""
        self._last = 0
        """Number of the latest utterance."""
        self._held: list[GateEvent] = []
        self._speech = 0
        """Samples of the open utterance so far."""

    def process(self, chunk: Chunk, *, live: bool, reopened: bool, ignore: bool) -> Block:
        """Process a chunk of one sample or more.

        Args:
            chunk: as the source returned it.
            live: the source is a device.
            reopened: the source was opened again before this chunk.
            ignore: let time pass, but keep the samples from the gate.

        Returns:
            the chunk as placed on the clock
        """
        block = self.clock.place(chunk, live=live, reopened=reopened)
        if ignore:
            self._ignored += block.lost + len(block.samples)
        else:
            heard = block
            if self._ignored:
                heard, self._ignored = replace(block, lost=block.lost + self._ignored), 0
            self._forward(self.gate.push(heard), block.arrival, wait=not live)
        return block

    def end_utterance(self) -> None:
        """End the open utterance, if any, with the audio it has."""
        self._forward(self.gate.finish("closed"), boot_time())

    def use_gate(self, gate: SpeechGate) -> None:
        """End the open utterance and continue with another gate."""
        self.end_utterance()
        self.gate, self._base = gate, self._last

    def _forward(self, events: Sequence[GateEvent], arrival: float, *, wait: bool = False) -> None:
        if not events:
            return
        self._last = self._base + events[-1].utterance
        if self._base:
            events = [replace(event, utterance=self._base + event.utterance) for event in events]
        self._held += events
        if self._is_due(events):
            self._queue.put(*self._held, arrival=arrival, wait=wait)
            self._held.clear()

    def _is_due(self, events: Sequence[GateEvent]) -> bool:
        """Count the speech of new events; return whether a result may follow from what is held."""
        step = min(self.update, LONGEST_HELD)
        before, due = self._speech // step, False
        for event in events:
            if isinstance(event, SpeechAudio):
                self._speech += len(event.samples)
            else:
                self._speech, due = 0, True
        return due or self._speech // step > before
