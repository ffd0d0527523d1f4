"""Microphones and sound servers that disappear and return: a real daemon on a private PulseAudio."""

from __future__ import annotations

import contextlib
import signal
from contextlib import ExitStack

import numpy as np

from support.daemon import Daemon
from support.pulse import PulseAudio
from support.torture.measure import (
    Check,
    TimedSubscriber,
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
"""Bounds in seconds for reporting a missing microphone, and for listening after its return."""

GROWTH_MB = 1.0


class Scene:
    """The setting of a scenario: a sound server, a daemon as a service, and a subscriber."""

    def __init__(self, *arguments: str, config: str = "", start: bool = True, **environment: str) -> None:
        self._stack = ExitStack()
        self.pulse = PulseAudio() if not start else self._stack.enter_context(sound_server())
        if not start:
            self._stack.callback(self.pulse.close)
        with (self.pulse.folder / "asound.conf").open("a") as file:
            file.write(config)
        self.environment = self.pulse.environment | environment
        self.daemon = self._stack.enter_context(Daemon("--service", *arguments, environment=self.environment))
        self.subscriber = self._stack.enter_context(contextlib.closing(TimedSubscriber(self.daemon)))
        self.control = self.daemon.controller()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def speak(self, sink: str = "mic", seconds: float = 30.0) -> tuple[float, float]:
        """Play one utterance; return the arrival times of its start and its end."""
        place = self.subscriber.mark()
        player = self.pulse.play(write(self.pulse.folder, speech(), room(0.3)), sink)
        try:
            return self.subscriber.wait("voice-started", place, seconds), self.subscriber.wait(
                "voice-stopped", place, seconds
            )
        finally:
            player.wait(20)


def _unplug(scene: Scene) -> list[Check]:
    place, begun = scene.subscriber.mark(), now()
    scene.pulse.unload_sink("mic")
    gone = scene.subscriber.wait("state:no-device", place) - begun
    # By then the attempts are seconds apart.
    eventually(lambda: scene.subscriber.kinds(place).count("state:no-device") >= 4)
    place, begun = scene.subscriber.mark(), now()
    scene.pulse.load_sink("mic")
    back = scene.subscriber.wait("state:listening", place) - begun
    return [Check("no-device after", gone, GONE), Check("listening after its return", back, BACK)]


def unplugged_in_silence(quick: bool) -> list[Check]:
    """The microphone is unplugged in silence, and plugged in seconds later."""
    with Scene() as scene:
        scene.subscriber.listening()
        checks = _unplug(scene)
        scene.speak()
        return checks


def unplugged_mid_utterance(quick: bool) -> list[Check]:
    """The microphone is unplugged during an utterance, which then ends with a final answer."""
    with Scene() as scene:
        scene.subscriber.listening()
        place = scene.subscriber.mark()
        player = scene.pulse.play(write(scene.pulse.folder, np.tile(speech()[14_000:44_000], 4)))
        scene.subscriber.wait("emotion", place)
        begun = now()
        scene.pulse.unload_sink("mic")
        gone = scene.subscriber.wait("state:no-device", place) - begun
        player.wait(20)
        kinds = scene.subscriber.kinds(place)
        upto = kinds[: kinds.index("state:no-device") + 1]
        wrong = upto[-3:] != ["final", "voice-stopped", "state:no-device"]
        begun = now()
        scene.pulse.load_sink("mic")
        back = scene.subscriber.wait("state:listening", place) - begun
        scene.speak()
        return [
            Check("no-device after", gone, GONE),
            Check("open utterance without its final before it", wrong, 0, ""),
            Check("listening after its return", back, BACK),
        ]


def unplugged_ten_times(quick: bool) -> list[Check]:
    """The microphone is unplugged ten times: no resources leak."""
    times = 3 if quick else 10
    worst_gone = worst_back = 0.0
    with Scene() as scene:
        scene.subscriber.listening()
        before = None
        for _ in range(times + 1):
            place, begun = scene.subscriber.mark(), now()
            scene.pulse.unload_sink("mic")
            worst_gone = max(worst_gone, scene.subscriber.wait("state:no-device", place) - begun)
            begun = now()
            scene.pulse.load_sink("mic")
            worst_back = max(worst_back, scene.subscriber.wait("state:listening", place) - begun)
            # The first time loads libraries and allocates buffers, which stay.
            before = before or facts(scene.daemon)
        after = facts(scene.daemon)
        scene.speak()
    return [
        Check("no-device after, worst", worst_gone, GONE),
        Check("listening after its return, worst", worst_back, BACK),
        *after.checks_against(before or after, GROWTH_MB),
    ]


def server_killed(quick: bool) -> list[Check]:
    """The sound server is killed and started again."""
    with Scene() as scene:
        scene.subscriber.listening()
        before = facts(scene.daemon)
        place, begun = scene.subscriber.mark(), now()
        assert scene.pulse._server is not None
        scene.pulse._server.send_signal(signal.SIGKILL)
        gone = scene.subscriber.wait("state:no-device", place) - begun
        scene.pulse.stop()
        eventually(lambda: scene.subscriber.kinds(place).count("state:no-device") >= 4)
        scene.pulse.start()
        place, begun = scene.subscriber.mark(), now()
        scene.pulse.load_sink("mic")
        back = scene.subscriber.wait("state:listening", place) - begun
        after = facts(scene.daemon)
        scene.speak()
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
        eventually(lambda: scene.subscriber.kinds().count("state:no-device") >= 3)
        scene.pulse.start()
        begun = now()
        scene.pulse.load_sink("mic")
        back = scene.subscriber.wait("state:listening") - begun
        scene.speak()
        return [Check("listening after its start", back, BACK)]


def default_changed(quick: bool) -> list[Check]:
    """Another microphone becomes the default, and is used from then on."""
    with Scene() as scene:
        scene.subscriber.listening()
        # The first utterance allocates memory for the network, which stays.
        scene.speak()
        before = facts(scene.daemon)
        scene.pulse.load_sink("other")
        place, begun = scene.subscriber.mark(), now()
        scene.pulse.set_default("other")
        started, _ = scene.speak("other")
        # The speech starts 0.9 s after the recording.
        delay = started - begun - 0.9
        away = scene.subscriber.kinds(place).count("state:no-device")
        return [
            Check("speech into the new default reported after", delay, BACK),
            Check("no-device meanwhile", away, 0, ""),
            *facts(scene.daemon).checks_against(before, GROWTH_MB),
        ]


def preferred_returns(quick: bool) -> list[Check]:
    """A microphone chosen by name is unplugged; another one does not replace it."""
    config = 'pcm.desk { type pulse device "desk.monitor" hint { show on description "desk" } }\n'
    with Scene("--mic", "desk", config=config) as scene:
        scene.pulse.unload_sink("mic")
        scene.pulse.load_sink("desk")
        scene.subscriber.listening()
        place, begun = scene.subscriber.mark(), now()
        scene.pulse.unload_sink("desk")
        gone = scene.subscriber.wait("state:no-device", place) - begun
        scene.pulse.load_sink("mic")
        eventually(lambda: scene.subscriber.kinds(place).count("state:no-device") >= 3)
        other = scene.pulse.capture_streams()
        begun = now()
        scene.pulse.load_sink("desk")
        back = scene.subscriber.wait("state:listening", place) - begun
        scene.speak("desk")
        return [
            Check("no-device after", gone, GONE),
            Check("captured from another one meanwhile", other, 0, ""),
            Check("listening after its return", back, BACK),
        ]


def silent(quick: bool) -> list[Check]:
    """Digital zeros are reported as `silent`, and sound after them as `listening`."""
    after = 3.0 if quick else 60.0
    with Scene(SER_SERVICE_SILENT_SECONDS=str(after)) as scene:
        scene.subscriber.listening()
        listening = now()
        late = scene.subscriber.wait("state:silent", seconds=after + 10) - listening - after
        place = scene.subscriber.mark()
        scene.speak()
        back = "state:listening" in scene.subscriber.kinds(place)
        return [
            Check(f"`silent` reported off {after:g} s by", abs(late), 2.0),
            Check("`listening` not reported with sound", not back, 0, ""),
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
"""A daemon whose device accepts one rate, number of channels and sample format only."""


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
                subscriber = TimedSubscriber(daemon)
                subscriber.listening()
                # Room noise first: the gate may take a start after digital silence for an onset.
                player = play_evenly(pulse, write(pulse.folder, room(2.0), speech(), room(0.3)))
                final = subscriber.find(
                    lambda line: bool(line["data"].get("final")) and line["data"]["voiced_ms"] > 500
                )
                spoken = final[1]["data"]["end"] - final[1]["data"]["start"]
                player.wait(20)
                subscriber.close()
                missing_ms = daemon.controller().request("metrics")["data"]["samples_missing"] / 16
            name = f"{rate / 1000:g} kHz, {channels} channels, {form}"
            checks.append(Check(f"{name}: length of the utterance off by", abs(spoken - SPOKEN_MS), 150, "ms"))
            checks.append(Check(f"{name}: audio missing", missing_ms, 0, "ms"))
    return checks


SPOKEN_MS = 1592
"""Length of the utterance when the file itself is read."""


def pid_of_server(pulse: PulseAudio) -> int:
    """Return the process id of the sound server."""
    assert pulse._server is not None
    return pulse._server.pid
