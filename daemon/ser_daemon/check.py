"""`ser-daemon --check`: try everything that the daemon needs, and say what was found and what to type."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_daemon import paths
from ser_daemon.bounded import bounded
from ser_daemon.config import Config
from ser_daemon.profiles import gate_with_profile, profile_folders
from ser_model.errors import SerError
from ser_model.levels import SILENCE_DBFS, dbfs

LISTEN_SECONDS = 2.0
"""A device that gives nothing for so long will not serve."""

LEVEL_SAMPLES = 8000
"""Audio behind the level that is shown: half a second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    grade: str
    """`ok`, `warn` or `fail`."""
    subject: str
    text: str


def run_check(config: Config, environ: Mapping[str, str] = os.environ) -> int:
    """Print what was found, line by line as it is found.

    Returns:
        0 when the daemon can work, 2 when something must be put right first.
    """
    failed = False
    for finding in findings(config, environ):
        failed = failed or finding.grade == "fail"
        print(f"{finding.grade:<5} {finding.subject:<7} {finding.text}", flush=True)
    if failed:
        print("\nNot ready: see the lines that begin with fail.")
        return 2
    print("\nReady. Start it with: ser-daemon, and watch it with: ser-watch")
    return 0


def findings(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is found, in the order in which the daemon would come across it."""
    yield from _settings(config)
    yield _model(config)
    yield from _audio(config, environ)
    yield from _sockets(config, environ)
    yield _service(environ)


def _settings(config: Config) -> Iterator[Finding]:
    files = ", ".join(str(file) for file in config.files) or "no file; all settings are built-in"
    yield Finding("ok", "config", files)
    for name, source in sorted(config.sources.items()):
        section, _, field = name.partition(".")
        value = getattr(getattr(config, section), field)
        yield Finding("ok", "config", f"{name} = {'null' if value is None else value}  ({source})")


def _model(config: Config) -> Finding:
    # Loaded late: ONNX Runtime takes a moment, and what is wrong with the settings is said before.
    from ser_model.estimator import Model

    try:
        model = Model.load(config.model.path)
    except SerError as error:
        return Finding("fail", "model", str(error))
    return Finding("ok", "model", f"{model.name} ({len(model.labels)} labels)")


def _audio(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    if config.audio.device == "stdin":
        yield Finding("ok", "audio", "stdin is read once the daemon runs")
        return
    try:
        late = SerError(f"{config.audio.device} was opened, but gave no samples for {LISTEN_SECONDS:g} s.")
        name, level = bounded(lambda: _listen(config), LISTEN_SECONDS + 1.0, late)
    except SerError as error:
        yield Finding("fail", "audio", str(error))
        if not config.audio.device.startswith("file:"):
            yield Finding("ok", "audio", "to see what there is: ser-daemon --list-devices")
        return
    if level <= SILENCE_DBFS:
        hint = "is the microphone muted in the mixer, or by a switch?"
        yield Finding("warn", "audio", f"{name} gives nothing but zeros; {hint}")
    else:
        yield Finding("ok", "audio", f"{name} gives samples, level {level:.0f} dBFS")
    if config.audio.device.startswith("file:"):
        return
    _, remarks = gate_with_profile(config, name, profile_folders(environ))
    for remark in remarks or ["no profile: the gate learns by itself; better with: ser-calibrate mic"]:
        yield Finding("warn" if "ignored" in remark else "ok", "profile", remark)


def _listen(config: Config) -> tuple[str, float]:
    """Open the source and return its name and the level of the first samples."""
    from ser_daemon.sources import make_source

    source = make_source(config.audio)
    source.open()
    try:
        samples = np.zeros(0, np.int16)
        # Not the first read alone: some devices begin with a moment of zeros.
        while len(samples) < LEVEL_SAMPLES and (chunk := source.read()) is not None:
            samples = np.concatenate((samples, chunk.samples))
    finally:
        source.close()
    return source.name, dbfs(samples.astype(np.float32) / 32768.0)


def _sockets(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    events = config.socket.path or paths.user_socket(environ)
    control = config.socket.control_path or paths.control_socket(events)
    for path in dict.fromkeys((events, control)):
        yield _socket(path)


def _socket(path: Path) -> Finding:
    from ser_daemon.sockets import SocketError, bind, holder

    try:
        listener = bind(path)
    except SocketError as error:
        with contextlib.suppress(SocketError):
            if who := holder(path):
                text = f"{path} is held by {who}; end that first, or choose another with --socket"
                return Finding("warn", "socket", text)
        return Finding("fail", "socket", str(error))
    listener.sock.close()
    listener.unlink()
    return Finding("ok", "socket", f"{path} can be used")


def _service(environ: Mapping[str, str]) -> Finding:
    """Say which of the two units fits: a system service cannot reach the sound server of a session."""
    runtime = Path(environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    servers = {"PipeWire": runtime / "pipewire-0", "PulseAudio": runtime / "pulse" / "native"}
    running = next((name for name, socket in servers.items() if socket.exists()), None)
    if running:
        text = f"{running} runs for this user: as a service use the user's unit (systemctl --user)"
    else:
        text = "no sound server runs for this user: as a service use the system's unit, which goes to ALSA"
    return Finding("ok", "service", text)
