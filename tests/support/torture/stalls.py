"""Stalls: a stopped daemon, and a stopped sound server."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from support.daemon import Subscriber
from support.torture.measure import HOP, Check, now, play_evenly, room, speech, write
from support.torture.microphone import Scene, pid_of_server

GAP = 0.050
"""Bound in seconds for the error of the sample clock after a stall."""

STALL = 2.0


def _offset(control: Subscriber, seconds: float) -> float:
    """Return the offset of the sample clock to the boot clock in seconds, up to a constant.

    Blocks arrive every 160 ms, so a single request may see a position that is late by that much. The largest offset of
    many requests is not.
    """
    best, end = -np.inf, time.monotonic() + seconds
    while time.monotonic() < end:
        before = now()
        samples = control.request("metrics")["data"]["samples"]
        best = max(best, samples / 16_000 - before)
        time.sleep(0.005)
    return float(best)


def _stall(scene: Scene, pid: int) -> list[Check]:
    before = _offset(scene.control, 1.0)
    stop_for(pid, STALL)
    time.sleep(0.5)
    soon = _offset(scene.control, 0.5)
    time.sleep(1.0)
    later = _offset(scene.control, 1.0)
    return [
        Check("sample clock off by", abs(later - before) * 1000, GAP * 1000, "ms"),
        Check("delay more than before, 1 s later", (before - soon) * 1000, HOP * 1000, "ms"),
    ]


def server_stopped(quick: bool) -> list[Check]:
    """The sound server is stopped by SIGSTOP for two seconds."""
    with Scene() as scene:
        scene.subscriber.listening()
        time.sleep(1.0)
        checks = _stall(scene, pid_of_server(scene.pulse))
        scene.speak()
        return checks


def daemon_stopped(quick: bool) -> list[Check]:
    """The daemon is stopped by SIGSTOP for two seconds, between two utterances of a recording."""
    with Scene() as scene:
        scene.subscriber.listening()
        time.sleep(1.0)
        place = scene.subscriber.mark()
        pause = 6.5
        between = (len(speech()) / 16_000 + pause) * 1000
        path = write(scene.pulse.folder, speech(), room(pause), speech(), room(1.0))
        player = play_evenly(scene.pulse, path)
        first = scene.subscriber.find("voice-started", place)[1]["data"]["timestamp"]
        scene.subscriber.wait("voice-stopped", place)
        checks = _stall(scene, scene.daemon.process.pid)
        second = scene.subscriber.find(
            lambda line: line["type"] == "voice-started" and line["data"]["timestamp"] > first, place
        )[1]["data"]["timestamp"]
        player.wait(20)
        return [*checks, Check("next utterance reported off by", abs(second - first - between), GAP * 1000, "ms")]


def stop_for(pid: int, seconds: float) -> None:
    """Stop a process by SIGSTOP for so long."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
