"""A private PulseAudio with null sinks: virtual microphones on a machine without a sound card.

What is played into a sink (`PulseAudio.play`) is heard by whoever captures from `default`, in real time.
PortAudio runs in child processes, started with `PulseAudio.environment`: a process reads ALSA's
configuration once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ser_model.errors import SerError

_ALSA_CONFIG = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse hint { show on description "virtual microphone" } }
ctl.!default { type pulse }
"""
_PROGRAMS = ("pulseaudio", "pactl", "paplay")
_START_SECONDS = 20.0


class PulseAudio:
    """A PulseAudio server with one null sink, `mic`, whose monitor is the default microphone.

    Use it as a context manager. Everything lives in a temporary folder; nothing of the user's own sound
    server or configuration is touched.
    """

    def __init__(self) -> None:
        # A short path: sockets are made below it, and their paths end at 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pa-", dir="/tmp"))
        self.environment: dict[str, str] = self._make_environment(os.environ)
        self._server: subprocess.Popen[bytes] | None = None
        self._modules: dict[str, str] = {}

    def __enter__(self) -> PulseAudio:
        try:
            self.start()
            self.load_sink("mic")
            self.pactl("set-default-source", "mic.monitor")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self.folder / "pulseaudio.log").open("ab")
        with log:
            self._server = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                    *("--disallow-exit", "--realtime=no", "--high-priority=no", "--disable-shm=yes"),
                    "--load=module-native-protocol-unix",
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "pulseaudio.log").read_text().strip()
                raise SerError(f"PulseAudio did not start: {said or 'it did not say why'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server, as when a session ends or a sound server crashes; `start` brings it back."""
        server, self._server = self._server, None
        self._modules.clear()
        if server is not None:
            _end(server)

    def load_sink(self, name: str, rate: int = 48_000, channels: int = 2) -> None:
        """Plug in another virtual microphone; its source is called `NAME.monitor`."""
        # Without rewinds a null sink works in steps of 50 ms, else of 2 s: then a first read takes that long.
        self._modules[name] = self.pactl(
            "load-module",
            "module-null-sink",
            f"sink_name={name}",
            f"rate={rate}",
            f"channels={channels}",
            "norewinds=1",
        ).strip()

    def unload_sink(self, name: str) -> None:
        """Unplug a virtual microphone."""
        self.pactl("unload-module", self._modules.pop(name))

    def set_default(self, name: str) -> None:
        """Make the sink `name` the one that `default` captures from."""
        self.pactl("set-default-source", f"{name}.monitor")

    def capture_streams(self) -> int:
        """How many programs capture now."""
        return len(self.pactl("list", "short", "source-outputs").splitlines())

    def wait_for_capture(self, streams: int = 1, seconds: float = 15.0) -> None:
        """Wait until `streams` programs capture; 0: until the microphone is free."""
        deadline = time.monotonic() + seconds
        while self.capture_streams() != streams:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.capture_streams()} programs capture after {seconds} s, not {streams}")
            time.sleep(0.05)

    def play(self, path: Path, sink: str = "mic", latency_ms: int = 50) -> subprocess.Popen[bytes]:
        """Start to play a WAV or FLAC file into a virtual microphone; wait for the process to end.

        A longer latency is a longer buffer, which a busy machine does not let run dry.
        """
        command = ["paplay", f"--device={sink}", f"--latency-msec={latency_ms}", str(path)]
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL)

    def pactl(self, *arguments: str) -> str:
        """Run pactl(1), give what it prints."""
        result = subprocess.run(
            ["pactl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if result.returncode:
            raise SerError(f"pactl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def close(self) -> None:
        """End the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(SerError, subprocess.TimeoutExpired):
            self.pactl("info")
            return True
        return False

    def _make_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        config = self.folder / "asound.conf"
        config.write_text(_ALSA_CONFIG)
        for name in ("home", "run"):
            (self.folder / name).mkdir(mode=0o700)
        kept = {name: value for name, value in environ.items() if not name.startswith(("PULSE_", "DBUS_"))}
        return kept | {
            "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_CONFIG_HOME": str(self.folder / "home/.config"),
            "PULSE_SERVER": f"unix:{self.folder}/run/pulse/native",
            "PULSE_RUNTIME_PATH": str(self.folder / "run/pulse"),
            "ALSA_CONFIG_PATH": str(config),
            "JACK_NO_START_SERVER": "1",
        }


@functools.cache
def missing() -> str | None:
    """Why there can be no virtual microphone here; None if there can."""
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"no {', '.join(absent)} (packages pulseaudio and pulseaudio-utils)"
    plugins = (folder / "libasound_module_pcm_pulse.so" for folder in Path("/usr/lib").glob("**/alsa-lib"))
    if not any(plugin.exists() for plugin in plugins):
        return "ALSA has no plugin for PulseAudio (package libasound2-plugins)"
    probe = "import sounddevice"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=60, check=False).returncode:
        return "no PortAudio library (package libportaudio2)"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
