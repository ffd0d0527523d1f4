"""The gate stage wakes the inference thread only when a result can follow."""

from __future__ import annotations

import numpy as np
import pytest

from ser_daemon.pipeline.gate_stage import LONGEST_HELD, GateStage
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.sources.base import Chunk
from ser_daemon.wire.events import AudioState
from ser_daemon.wire.protocol import CaptureState
from ser_model.types import SAMPLE_RATE, SpeechEnded
from support.scripted import ScriptedGate

READ = 2560
END = AudioState(state=CaptureState.LISTENING)


class Stage:
    """A gate stage that hears reads of 160 ms, and what reaches its queue."""

    def __init__(self, update: int) -> None:
        self.queue = SpeechQueue()
        self.stage = GateStage(ScriptedGate(), self.queue, update)

    def hear(self, level: int) -> list[str]:
        """Process a read; return the types that came into the queue with it."""
        chunk = Chunk(np.full(READ, level, np.int16), 0.0)
        self.stage.process(chunk, live=False, reopened=False, ignore=False)
        return self.taken()

    def taken(self) -> list[str]:
        """Take all items; return their types."""
        # The last one marks the end: a queue with nothing in it would wait.
        self.queue.put(END, arrival=0.0)
        items = iter(self.queue.get, (END, 0.0))
        return [type(entry[0]).__name__ for entry in items if entry]


def test_speech_waits_for_the_next_update_and_start_and_end_do_not_wait() -> None:
    stage = Stage(update=3 * READ)
    heard = [stage.hear(1000) for _ in range(7)]
    audio = "SpeechAudio"
    assert heard == [["SpeechStarted", audio], [], [audio, audio], [], [], [audio, audio, audio], []]
    assert stage.hear(0) == [audio, "SpeechEnded"]
    # The next utterance counts from its own beginning.
    assert [len(stage.hear(1000)) for _ in range(3)] == [2, 0, 2]


@pytest.mark.parametrize("update", [1, READ - 1, 10 * SAMPLE_RATE])
def test_nothing_is_lost_and_little_is_held_back(update: int) -> None:
    stage = Stage(update)
    samples = 0
    for count in range(1, 40):
        samples += READ * stage.hear(1000).count("SpeechAudio")
        assert count * READ - samples < min(update, LONGEST_HELD)
    stage.stage.end_utterance()
    assert stage.taken()[-1] == SpeechEnded.__name__
