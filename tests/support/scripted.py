"""A virtual world for the capture loop: a clock, a device and a gate that follow a script."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from ser_daemon.pipeline.capture import Capture
from ser_daemon.pipeline.gate_stage import GateStage
from ser_daemon.pipeline.mailbox import Mailbox
from ser_daemon.pipeline.source_reader import CaptureSettings
from ser_daemon.pipeline.speech_queue import Item, SpeechQueue
from ser_daemon.sources.base import Chunk, DeviceError
from ser_daemon.wire.events import AudioState
from ser_model.types import Block, GateEvent, SpeechAudio, SpeechEnded, SpeechStarted

READ = 0.1


class World:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._plan: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._plan, (when, len(self._plan), action))

    def advance(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end = self.now + seconds
        while self._plan and self._plan[0][0] <= end + 1e-9 and not until():
            when, _, action = heapq.heappop(self._plan)
            self.now = max(self.now, when)
            action()
        if not until():
            self.now = max(self.now, end)


class VirtualMailbox(Mailbox):
    """Waits in the virtual world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def wait(self, seconds: float) -> None:
        self._world.advance(seconds, until=lambda: bool(self._calls))


class ScriptedSource:
    """A device that speaks, falls silent, fails and comes back as a test says."""

    def __init__(self, world: World, *, live: bool = True, name: str = "mic") -> None:
        self.world = world
        self.name = name
        self.live = live
        self.level = 0
        """Value of every sample; 0 is digital silence, and what the scripted gate takes for no speech."""
        self.opened: list[float] = []
        self.closed: list[float] = []
        self.is_open = False
        self.open_error: DeviceError | None = None
        self.read_error: DeviceError | None = None
        self.overflow = False
        self.mute_frames = False
        """Answer reads with empty chunks."""
        self.ends_at = float("inf")

    def open(self) -> None:
        self.opened.append(self.world.now)
        if self.open_error:
            raise self.open_error
        self.is_open = True

    def read(self) -> Chunk | None:
        assert self.is_open, "read while closed"
        self.world.advance(READ)
        if self.read_error:
            raise self.read_error
        if self.world.now > self.ends_at + 1e-6:
            return None
        overflowed, self.overflow = self.overflow, False
        count = 0 if self.mute_frames else round(READ * 16_000)
        return Chunk(np.full(count, self.level, np.int16), 1000 + self.world.now, overflowed)

    def close(self) -> None:
        if self.is_open:
            self.closed.append(self.world.now)
        self.is_open = False


class ScriptedGate:
    """Takes every block with a sample that is not 0 for speech."""

    def __init__(self) -> None:
        self.level_dbfs = -100.0
        self.noise_floor_dbfs = -60.0
        self.gain_db = 0.0
        self.blocks: list[Block] = []
        self._count = 0
        self._end = 0
        self._open = False

    @property
    def speaking(self) -> bool:
        return self._open

    def push(self, block: Block) -> list[GateEvent]:
        self.blocks.append(block)
        events: list[GateEvent] = self.finish("gap") if block.lost else []
        if block.samples.any():
            if not self._open:
                self._open = True
                self._count += 1
                events.append(SpeechStarted(self._count, block.start))
            self._end = block.end
            events.append(SpeechAudio(self._count, block.samples, block.start, 0))
        else:
            events += self.finish("silence")
        return events

    def finish(self, cause: str = "closed") -> list[GateEvent]:
        if not self._open:
            return []
        self._open = False
        return [SpeechEnded(self._count, self._end, 0, cause)]


class Scene:
    """A capture loop in a virtual world, and what it put into its queue."""

    def __init__(self, *, live: bool = True, patient: bool = True, muted: bool = False, capacity: int = 10**9) -> None:
        self.world = World()
        self.source = ScriptedSource(self.world, live=live)
        self.gate = ScriptedGate()
        self.queue = SpeechQueue(capacity)
        self.gate_stage = GateStage(self.gate, self.queue)
        self.arrivals: list[bool] = []
        """What the next look at what has arrived tells; nothing has when empty."""
        self.settings = CaptureSettings(patient=patient, frame_deadline=1.5, silent_after=60)
        self.capture = Capture(
            self.source,
            self.gate_stage,
            self.queue,
            self.settings,
            muted=muted,
            now=lambda: self.world.now,
            mailbox=VirtualMailbox(self.world),
            arrived=lambda device: self.arrivals.pop() if self.arrivals else False,
        )

    def reconfigure(self, gate: ScriptedGate | None = None, source: ScriptedSource | None = None) -> Future[None]:
        """Reload with the same settings, and another gate or source."""
        return self.capture.submit(lambda: self.capture.reconfigure(self.settings, gate, source))

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Plan an action for a moment in seconds."""
        self.world.at(when, action)

    def say(self, begin: float, end: float) -> None:
        """Plan speech."""
        self.at(begin, lambda: setattr(self.source, "level", 1000))
        self.at(end, lambda: setattr(self.source, "level", 0))

    def run(self, seconds: float) -> list[Item]:
        """Run the loop for so long (or until the source ends), and return what came out of the queue."""
        self.at(seconds, self.capture.stop)
        self.capture.run()
        items = []
        while (entry := self.queue.get()) is not None:
            items.append(entry[0])
        return items


def story(items: list[Item]) -> list[str]:
    """What happened, in short: `+1` an utterance started, `-1 closed` it ended, `muted` a state."""
    told = []
    for item in items:
        match item:
            case SpeechStarted():
                told.append(f"+{item.utterance}")
            case SpeechEnded():
                told.append(f"-{item.utterance} {item.cause}")
            case AudioState():
                told.append(item.state)
    return told
