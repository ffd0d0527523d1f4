"""A private PulseAudio with null sinks: virtual microphones on a machine without a sound card.

What is played into a sink (`PulseAudio.play`) is captured from the sink's monitor, in real time. A process reads
ALSA's configuration once, so PortAudio runs in child processes, started with `PulseAudio.environment`.
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
    """A PulseAudio server, as a context manager.

    All its files are in a temporary folder. The user's own sound server and configuration are not touched.
    """

    def __init__(self) -> None:
        # A short path, because the path of a socket below it is limited to 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pa-", dir="/tmp"))
        self.environment: dict[str, str] = self._make_environment(os.environ)
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PulseAudio:
        try:
            self.start()
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
                output = (self.folder / "pulseaudio.log").read_text().strip()
                raise SerError(f"PulseAudio did not start: {output or 'it did not say why'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server; `start` starts it again."""
        server, self._server = self._server, None
        if server is not None:
            _end(server)

    def load_sink(self, name: str, rate: int = 48_000, channels: int = 2) -> str:
        """Add a null sink; return the number of its module. The source to capture from is called `NAME.monitor`."""
        # Without rewinds a null sink works in steps of 50 ms. With them, the first read takes 2 s.
        return self.pactl(
            "load-module",
            "module-null-sink",
            f"sink_name={name}",
            f"rate={rate}",
            f"channels={channels}",
            "norewinds=1",
        ).strip()

    def play(self, path: Path, sink: str, latency_ms: int) -> subprocess.Popen[bytes]:
        """Start to play a WAV or FLAC file into a sink; the returned process ends with the file.

        A longer latency is a longer buffer, which does not run empty on a busy machine.
        """
        command = ["paplay", f"--device={sink}", f"--latency-msec={latency_ms}", str(path)]
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL)

    def pactl(self, *arguments: str) -> str:
        """Run pactl(1); return its output."""
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
        kept = {name: value for name, value in environ.items() if not name.startswith(("PULSE_", "DBUS_", "XDG_"))}
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
def unavailable_reason() -> str | None:
    """Return why no virtual microphone can be made here; `None` if one can."""
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
