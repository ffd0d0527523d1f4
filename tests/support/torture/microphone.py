"""Rows about microphones and sound servers that come and go: a real daemon on a private PulseAudio."""

from __future__ import annotations

import contextlib
import signal
from contextlib import ExitStack

import numpy as np

from support.daemon import Daemon
from support.pulse import PulseAudio
from support.torture.measure import (
    Check,
    Listener,
    eventually,
    facts,
    now,
    play_evenly,
    room,
    sound_server,
    speech,
    write,
)

GONE, BACK = 2.0, 2.0
"""Seconds in which subscribers are to know that the microphone is gone, and in which it is heard again."""

GROWTH_MB = 1.0


class Scene:
    """A sound server, a daemon that listens to it as a service, and a subscriber."""

    def __init__(self, *arguments: str, config: str = "", start: bool = True, **environment: str) -> None:
        self._stack = ExitStack()
        self.pulse = PulseAudio() if not start else self._stack.enter_context(sound_server())
        if not start:
            self._stack.callback(self.pulse.close)
        with (self.pulse.folder / "asound.conf").open("a") as file:
            file.write(config)
        self.environment = self.pulse.environment | environment
        self.daemon = self._stack.enter_context(Daemon("--service", *arguments, environment=self.environment))
        self.listener = self._stack.enter_context(contextlib.closing(Listener(self.daemon)))
        self.control = self.daemon.controller()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def say(self, sink: str = "mic", seconds: float = 30.0) -> tuple[float, float]:
        """Speak once; when the start and the end of the utterance came."""
        place = self.listener.mark()
        player = self.pulse.play(write(self.pulse.folder, speech(), room(0.3)), sink)
        try:
            return self.listener.wait("voice-started", place, seconds), self.listener.wait(
                "voice-stopped", place, seconds
            )
        finally:
            player.wait(20)


def _unplug(scene: Scene) -> list[Check]:
    place, begun = scene.listener.mark(), now()
    scene.pulse.unload_sink("mic")
    gone = scene.listener.wait("state:no-device", place) - begun
    # Long enough for the attempts to be seconds apart.
    eventually(lambda: scene.listener.kinds(place).count("state:no-device") >= 4)
    place, begun = scene.listener.mark(), now()
    scene.pulse.load_sink("mic")
    back = scene.listener.wait("state:listening", place) - begun
    return [Check("no-device after", gone, GONE), Check("listening after its return", back, BACK)]


def unplugged_in_silence(quick: bool) -> list[Check]:
    """The microphone goes in silence and comes back seconds later."""
    with Scene() as scene:
        scene.listener.listening()
        checks = _unplug(scene)
        scene.say()
        return checks


def unplugged_mid_utterance(quick: bool) -> list[Check]:
    """The microphone goes while somebody speaks: the utterance ends with what it had."""
    with Scene() as scene:
        scene.listener.listening()
        place = scene.listener.mark()
        player = scene.pulse.play(write(scene.pulse.folder, np.tile(speech()[14_000:44_000], 4)))
        scene.listener.wait("emotion", place)
        begun = now()
        scene.pulse.unload_sink("mic")
        gone = scene.listener.wait("state:no-device", place) - begun
        player.wait(20)
        kinds = scene.listener.kinds(place)
        upto = kinds[: kinds.index("state:no-device") + 1]
        wrong = upto[-3:] != ["final", "voice-stopped", "state:no-device"]
        begun = now()
        scene.pulse.load_sink("mic")
        back = scene.listener.wait("state:listening", place) - begun
        scene.say()
        return [
            Check("no-device after", gone, GONE),
            Check("open utterance without its final before it", wrong, 0, ""),
            Check("listening after its return", back, BACK),
        ]


def unplugged_ten_times(quick: bool) -> list[Check]:
    """Ten times in a row: nothing is left behind."""
    times = 3 if quick else 10
    worst_gone = worst_back = 0.0
    with Scene() as scene:
        scene.listener.listening()
        before = None
        for _ in range(times + 1):
            place, begun = scene.listener.mark(), now()
            scene.pulse.unload_sink("mic")
            worst_gone = max(worst_gone, scene.listener.wait("state:no-device", place) - begun)
            begun = now()
            scene.pulse.load_sink("mic")
            worst_back = max(worst_back, scene.listener.wait("state:listening", place) - begun)
            # What the first time loads stays: libraries, and buffers once.
            before = before or facts(scene.daemon)
        after = facts(scene.daemon)
        scene.say()
    return [
        Check("no-device after, worst", worst_gone, GONE),
        Check("listening after its return, worst", worst_back, BACK),
        *after.checks_against(before or after, GROWTH_MB),
    ]


def server_killed(quick: bool) -> list[Check]:
    """The sound server is killed and started again."""
    with Scene() as scene:
        scene.listener.listening()
        before = facts(scene.daemon)
        place, begun = scene.listener.mark(), now()
        assert scene.pulse._server is not None
        scene.pulse._server.send_signal(signal.SIGKILL)
        gone = scene.listener.wait("state:no-device", place) - begun
        scene.pulse.stop()
        eventually(lambda: scene.listener.kinds(place).count("state:no-device") >= 4)
        scene.pulse.start()
        place, begun = scene.listener.mark(), now()
        scene.pulse.load_sink("mic")
        back = scene.listener.wait("state:listening", place) - begun
        after = facts(scene.daemon)
        scene.say()
        return [
            Check("no-device after", gone, GONE),
            Check("listening after its return", back, BACK),
            *after.checks_against(before, GROWTH_MB),
        ]


def server_late(quick: bool) -> list[Check]:
    """The sound server is started after the daemon."""
    sound_server().close()
    with Scene(start=False) as scene:
        eventually(lambda: scene.control.request("status")["data"]["state"] == "no-device")
        eventually(lambda: scene.listener.kinds().count("state:no-device") >= 3)
        scene.pulse.start()
        begun = now()
        scene.pulse.load_sink("mic")
        back = scene.listener.wait("state:listening") - begun
        scene.say()
        return [Check("listening after its start", back, BACK)]


def default_changed(quick: bool) -> list[Check]:
    """Another microphone becomes the default: it is the one that is heard."""
    with Scene() as scene:
        scene.listener.listening()
        # The first utterance takes memory that stays: the network's.
        scene.say()
        before = facts(scene.daemon)
        scene.pulse.load_sink("other")
        place, begun = scene.listener.mark(), now()
        scene.pulse.set_default("other")
        started, _ = scene.say("other")
        # Playing takes its time to begin, and the speech begins 0.9 s into it.
        heard = started - begun - 0.9
        away = scene.listener.kinds(place).count("state:no-device")
        return [
            Check("speech into the new default heard after", heard, BACK),
            Check("no-device meanwhile", away, 0, ""),
            *facts(scene.daemon).checks_against(before, GROWTH_MB),
        ]


def preferred_returns(quick: bool) -> list[Check]:
    """A microphone chosen by name goes; another one that comes meanwhile is no substitute for it."""
    config = 'pcm.desk { type pulse device "desk.monitor" hint { show on description "desk" } }\n'
    with Scene("--mic", "desk", config=config) as scene:
        scene.pulse.unload_sink("mic")
        scene.pulse.load_sink("desk")
        scene.listener.listening()
        place, begun = scene.listener.mark(), now()
        scene.pulse.unload_sink("desk")
        gone = scene.listener.wait("state:no-device", place) - begun
        scene.pulse.load_sink("mic")
        eventually(lambda: scene.listener.kinds(place).count("state:no-device") >= 3)
        other = scene.pulse.capture_streams()
        begun = now()
        scene.pulse.load_sink("desk")
        back = scene.listener.wait("state:listening", place) - begun
        scene.say("desk")
        return [
            Check("no-device after", gone, GONE),
            Check("captured from another one meanwhile", other, 0, ""),
            Check("listening after its return", back, BACK),
        ]


def silent(quick: bool) -> list[Check]:
    """A microphone that gives digital zeros is told of, and once it gives sound again, too."""
    after = 3.0 if quick else 60.0
    with Scene(SER_SERVICE_SILENT_SECONDS=str(after)) as scene:
        scene.listener.listening()
        listening = now()
        late = scene.listener.wait("state:silent", seconds=after + 10) - listening - after
        place = scene.listener.mark()
        scene.say()
        back = "state:listening" in scene.listener.kinds(place)
        return [
            Check(f"`silent` told off {after:g} s by", abs(late), 2.0),
            Check("`listening` not told when sound came", not back, 0, ""),
        ]


NATIVE = """
import os, sys
from ser_daemon.cli import daemon
from ser_daemon.sources import microphone
rate, channels, form = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
microphone._attempts = lambda device: [(rate, form)]
microphone._channels_to_open = lambda device, channel: channels
sys.exit(daemon.main(sys.argv[4:]))
"""
"""A daemon whose device takes nothing but one rate, number of channels and sample format."""


def formats(quick: bool) -> list[Check]:
    """Devices with one rate, number of channels and sample format only."""
    import sys

    checks = []
    every = [(44_100, 2, "int16"), (8_000, 1, "int16"), (48_000, 8, "float32"), (16_000, 2, "float32")]
    with sound_server() as pulse:
        for rate, channels, form in every[:3] if quick else every:
            pulse.unload_sink("mic")
            pulse.load_sink("mic", rate, channels)
            program = [sys.executable, "-c", NATIVE, str(rate), str(channels), form]
            with Daemon("--service", environment=pulse.environment, program=program) as daemon:
                listener = Listener(daemon)
                listener.listening()
                # A room before: what comes straight out of digital silence can be taken for a sound.
                player = play_evenly(pulse, write(pulse.folder, room(2.0), speech(), room(0.3)))
                final = listener.find(lambda line: bool(line["data"].get("final")) and line["data"]["voiced_ms"] > 500)
                spoken = final[1]["data"]["end"] - final[1]["data"]["start"]
                player.wait(20)
                listener.close()
                missing_ms = daemon.controller().request("metrics")["data"]["samples_missing"] / 16
            name = f"{rate / 1000:g} kHz, {channels} channels, {form}"
            checks.append(Check(f"{name}: length of the utterance off by", abs(spoken - SPOKEN_MS), 150, "ms"))
            checks.append(Check(f"{name}: audio missing", missing_ms, 0, "ms"))
    return checks


SPOKEN_MS = 1592
"""Length of the utterance as heard from the file itself."""


def pid_of_server(pulse: PulseAudio) -> int:
    """The sound server's process."""
    assert pulse._server is not None
    return pulse._server.pid
