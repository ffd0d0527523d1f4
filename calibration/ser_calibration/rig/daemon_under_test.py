"""Run a real `ser-daemon` on a virtual microphone, and collect its answers to played files."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ser_calibration.rig.virtual_sound import PulseAudio
from ser_daemon.client import Client, Emotion, NotRunning, VoiceStarted, VoiceStopped
from ser_model.errors import SerError

START_SECONDS = 30.0
"""Longest wait for the state `listening`."""

SETTLE_MS = 600
"""Audio that the daemon processes after the end of a file, in addition to the end of an open utterance."""

SETTLE_SECONDS = 40.0
"""Longest wait for the end of a file, longer than the longest utterance."""

_BUFFER_MS = 1_000
_POLL_SECONDS = 0.05


class Stopped(Exception):  # noqa: N818
    """The `stop` event was set."""


class DaemonUnderTest:
    """A daemon with its own sink, sockets and state, as a context manager.

    Args:
        sound: the running sound server.
        sink: name of a new sink for this daemon alone.
        model: NAME of the exported NAME.window.onnx and NAME.stream.onnx.
        stop: ends every wait with `Stopped`.
    """

    def __init__(self, sound: PulseAudio, sink: str, model: Path, stop: threading.Event) -> None:
        self._sound = sound
        self._sink = sink
        self._model = model
        self._stop = stop
        self._finals: list[Emotion] = []
        self._open_utterances = 0
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> DaemonUnderTest:
        with contextlib.ExitStack() as stack:
            # A short path, because the path of a socket below it is limited to 107 bytes.
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp")))
            self._sound.load_sink(self._sink)
            self._process = self._start()
            stack.callback(_end, self._process)
            self._client = Client(self._folder / "ser.sock")
            stack.callback(self._client.close)
            self._wait(
                lambda: bool(self._client.request("status")["state"] == "listening"), START_SECONDS, "did not listen"
            )
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def play(self, path: Path) -> list[Emotion]:
        """Play a WAV or FLAC file in real time; return the final answers to it.

        Raises:
            SerError: it can't be played, or the daemon ended.
            Stopped: `stop` was set.
        """
        begin = len(self._finals)
        player = self._sound.play(path, self._sink, latency_ms=_BUFFER_MS)
        try:
            self._wait(lambda: player.poll() is not None, 600.0, f"was not done hearing {path.name}")
        finally:
            if player.poll() is None:
                player.kill()
                player.wait()
        if player.returncode:
            raise SerError(f"{path}: paplay ended with status {player.returncode}")
        end_ms = self._client.request("status")["timestamp"] + SETTLE_MS
        self._wait(lambda: self._is_idle(end_ms), SETTLE_SECONDS, f"heard no end of {path.name}")
        return self._finals[begin:]

    def samples_missing(self) -> int:
        """Return how many samples the daemon did not get from the sound server."""
        return int(self._client.request("metrics")["samples_missing"])

    def _is_idle(self, end_ms: int) -> bool:
        """Return whether everything up to `end_ms` is processed, and no utterance is open."""
        status = self._client.request("status")
        return bool(status["timestamp"] >= end_ms) and not status["speaking"] and self._open_utterances == 0

    def _start(self) -> subprocess.Popen[bytes]:
        environ = {name: value for name, value in self._sound.environment.items() if not name.startswith("SER_")}
        environ |= {
            "PULSE_SOURCE": f"{self._sink}.monitor",
            "XDG_CONFIG_HOME": str(self._folder / "config"),
            "XDG_STATE_HOME": str(self._folder / "state"),
            # Every recording is scored like the first one.
            "SER_ADAPTATION_RUNNING": "false",
        }
        command = [sys.executable, "-m", "ser_daemon.cli.daemon", "--mic", "default", "--model", str(self._model)]
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--socket", str(self._folder / "ser.sock")],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C goes to the parent process, which ends this one.
                start_new_session=True,
            )

    def _read(self) -> None:
        with contextlib.suppress(SerError):
            for event in self._client.subscribe(partial=False):
                if isinstance(event, VoiceStarted):
                    self._open_utterances += 1
                elif isinstance(event, VoiceStopped):
                    self._open_utterances -= 1
                elif isinstance(event, Emotion):
                    self._finals.append(event)

    def _wait(self, condition: Callable[[], bool], seconds: float, failure: str) -> None:
        """Wait until the condition holds; `failure` completes the sentence of the error."""
        deadline = time.monotonic() + seconds
        while True:
            # There is no socket yet. If the daemon has ended, its log is more precise.
            with contextlib.suppress(NotRunning):
                if condition():
                    return
            if self._stop.wait(_POLL_SECONDS):
                raise Stopped
            if self._process.poll() is not None:
                lines = (self._folder / "log").read_text(errors="replace").strip().splitlines()
                why = lines[-1] if lines else "it did not say why"
                raise SerError(f"ser-daemon ended with status {self._process.returncode}: {why}")
            if time.monotonic() > deadline:
                raise SerError(f"ser-daemon {failure} within {seconds:.0f} s; is the machine too busy?")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
