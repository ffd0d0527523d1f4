"""The capture thread in a virtual world: verbs in any order, devices that fail, come back, and end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from hypothesis import strategies as st

from fuzz.invariants import require
from fuzz.strategies import odd_texts
from fuzz.target import register
from ser_daemon.pipeline.speech_queue import Item
from ser_daemon.sources.base import DeviceError, DeviceLost, NoSuchDevice
from ser_daemon.wire.events import AudioState
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError
from ser_model.types import SpeechAudio, SpeechEnded, SpeechStarted
from support.scripted import Scene, ScriptedGate, ScriptedSource

SECONDS = 12.0

VERBS = (
    "mute",
    "unmute",
    "hold",
    "hold 500",
    "release",
    "speech",
    "silence",
    "lost",
    "absent",
    "works",
    "overflow",
    "empty reads",
    "full reads",
    "arrived",
    "end",
    "new gate",
    "new source",
    "report again",
    "stop",
    "abandon",
)

plans = st.lists(st.tuples(st.integers(0, 120), st.sampled_from(VERBS), odd_texts), max_size=25)
worlds = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([16_000, 10**9]), plans)


class Play:
    """A scene that follows a plan."""

    def __init__(self, live: bool, patient: bool, muted: bool, capacity: int) -> None:
        self.scene = Scene(live=live, patient=patient, muted=muted, capacity=capacity)
        self.sources = [self.scene.source]
        self.futures: list[Future[None]] = []
        self.muted = muted
        self.live = live
        self.closed_queue = False

    def act(self, verb: str, text: str) -> None:
        """Do what the verb says, now."""
        capture, source = self.scene.capture, self.sources[-1]
        commands: dict[str, Callable[[], Future[None]]] = {
            "mute": capture.mute,
            "unmute": capture.unmute,
            "hold": lambda: capture.hold(None),
            "hold 500": lambda: capture.hold(500),
            "release": capture.release,
            "report again": capture.report_state_again,
            "stop": capture.stop,
            "new gate": lambda: self.scene.reconfigure(gate=ScriptedGate()),
            "new source": self._new_source,
        }
        changes: dict[str, Callable[[], object]] = {
            "speech": lambda: setattr(source, "level", 1000),
            "silence": lambda: setattr(source, "level", 0),
            "lost": lambda: setattr(source, "read_error", self._error(DeviceLost, text)),
            "absent": lambda: setattr(source, "open_error", self._error(NoSuchDevice, text)),
            "works": lambda: (setattr(source, "read_error", None), setattr(source, "open_error", None)),
            "overflow": lambda: setattr(source, "overflow", True),
            "empty reads": lambda: setattr(source, "mute_frames", True),
            "full reads": lambda: setattr(source, "mute_frames", False),
            "arrived": lambda: self.scene.arrivals.append(True),
            "end": lambda: setattr(source, "ends_at", self.scene.world.now if not self.live else float("inf")),
            "abandon": lambda: None,
        }
        if verb in commands:
            if verb in ("mute", "unmute"):
                self.muted = verb == "mute"
            self.futures.append(commands[verb]())
        else:
            changes[verb]()

    def _error(self, kind: type[DeviceError], text: str) -> DeviceError | None:
        return kind(f"The device {text!r} is gone.") if self.live else None

    def _new_source(self) -> Future[None]:
        source = ScriptedSource(self.scene.world, live=self.live, name=f"mic {len(self.sources)}")
        self.sources.append(source)
        return self.scene.reconfigure(source=source)


@register("capture", worlds, quick=200, seconds=3.0)
def check_capture(example: tuple[bool, bool, bool, int, list[Any]]) -> None:
    """Utterances are whole and in order, nothing is heard while muted, and everything is closed at the end."""
    live, patient, muted, capacity, plan = example
    # A file waits for room in the queue, which nobody makes here.
    capacity = capacity if live else 10**9
    play = Play(live, patient, muted, capacity)
    for tenths, verb, text in plan:
        # Between two reads, so that no two things happen at once.
        play.scene.at(tenths / 10 + 0.05, lambda verb=verb, text=text: play.act(verb, text))
    items: list[Item] = []
    try:
        items = play.scene.run(SECONDS)
    except SerError:
        require(not patient, "patient capture gives up")
        while (entry := play.scene.queue.get()) is not None:
            items.append(entry[0])
    check_items(items, capacity)
    check_mute(items, muted)
    for source in play.sources:
        require(not source.is_open, "device left open", source.name)
    for future in play.futures:
        require(future.done(), "command without an end")
        require(future.exception() is None or isinstance(future.exception(), SerError), "command failed")
    check_heard(play, items)


def check_items(items: list[Item], capacity: int) -> None:
    """Utterances are numbered, opened and closed in order, and their audio does not go back."""
    number, opened, end = 0, False, 0
    for item in items:
        match item:
            case SpeechStarted():
                require(not opened and item.utterance == number + 1, "utterance out of order", repr(item))
                require(item.onset >= end, "utterance before its time", repr(item))
                number, opened = item.utterance, True
            case SpeechAudio():
                require(opened and item.utterance == number, "audio without an utterance")
                require(item.start >= end, "samples doubled", f"{item.start} before {end}")
                end = item.start + len(item.samples)
            case SpeechEnded():
                require(opened and item.utterance == number, "end without an utterance")
                opened = False
    require(not opened, "utterance without an end")


def check_mute(items: list[Item], muted: bool) -> None:
    """No utterance between the state `muted` and the next state."""
    for item in items:
        if isinstance(item, AudioState):
            muted = item.state == CaptureState.MUTED
        elif isinstance(item, SpeechStarted | SpeechAudio):
            require(not muted, "heard while muted", repr(item)[:100])


def check_heard(play: Play, items: list[Item]) -> None:
    """Every sample that a gate passed on is in the queue once, or was counted as dropped."""
    heard = sum(len(item.samples) for item in items if isinstance(item, SpeechAudio))
    passed = play.scene.gate_stage.clock.position
    require(heard + play.scene.queue.dropped <= passed, "more samples than came", f"{heard} of {passed}")
