"""`ser-daemon --check`: try everything that the daemon needs, and say what was found and what to type."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ser_daemon import paths
from ser_daemon.config.device_spec import AudioFile, StandardInput
from ser_daemon.config.loading import Config
from ser_daemon.config.profiles import gate_with_profile, profile_folders
from ser_daemon.diagnostics.host_probes import Finding, Machine, mixer, service, silent_causes
from ser_daemon.pipeline.threads import run_with_timeout
from ser_model.audio.levels import SILENCE_DBFS, dbfs
from ser_model.errors import SerError

LISTEN_SECONDS = 5.0
"""A device that gives nothing for so long will not serve; sound servers take two over the first samples."""

LEVEL_SAMPLES = 8000
"""Audio behind the level that is shown: half a second."""


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
    yield from service(Machine(environ))


def _settings(config: Config) -> Iterator[Finding]:
    files = ", ".join(str(file) for file in config.files) or "no file; all settings are built-in"
    yield Finding("ok", "config", files)
    for name, source in sorted(config.sources.items()):
        section, _, field = name.partition(".")
        value = getattr(getattr(config, section), field)
        yield Finding("ok", "config", f"{name} = {'null' if value is None else value}  ({source})")


def _model(config: Config) -> Finding:
    # Loaded late: ONNX Runtime takes a moment, and what is wrong with the settings is said before.
    from ser_model.network.estimator import Model

    try:
        model = Model.load(config.model.path)
    except SerError as error:
        return Finding("fail", "model", str(error))
    return Finding("ok", "model", f"{model.name} ({len(model.labels)} labels)")


def _audio(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    if isinstance(config.audio.device_spec, StandardInput):
        yield Finding("ok", "audio", "stdin is read once the daemon runs")
        return
    try:
        late = SerError(f"{config.audio.device} was opened, but gave no samples for {LISTEN_SECONDS:g} s.")
        name, level = run_with_timeout(lambda: _listen(config), LISTEN_SECONDS + 1.0, late)
    except SerError as error:
        yield Finding("fail", "audio", str(error))
        if not isinstance(config.audio.device_spec, AudioFile):
            yield from silent_causes(Machine(environ))
            yield Finding("ok", "audio", "to see what there is: ser-daemon --list-devices")
        return
    if level <= SILENCE_DBFS:
        yield Finding("warn", "audio", f"{name} gives nothing but zeros; {mixer(Machine(environ))}")
    else:
        yield Finding("ok", "audio", f"{name} gives samples, level {level:.0f} dBFS")
    if isinstance(config.audio.device_spec, AudioFile):
        return
    _, notes = gate_with_profile(config, name, profile_folders(environ))
    for note in notes:
        yield Finding("warn" if note.warning else "ok", "profile", note.text)
    if not notes:
        yield Finding("ok", "profile", "no profile: the gate learns by itself; better with: ser-calibrate mic")


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
    from ser_daemon.wire.sockets import SocketError, bind, holder

    # Nobody else's, for `bind` replaces it only where nobody listens.
    there = path.is_socket()
    try:
        listener = bind(path)
    except SocketError as error:
        with contextlib.suppress(SocketError):
            if who := holder(path):
                if who.endswith("(systemd)"):
                    return Finding("ok", "socket", f"{path} is the installed service's")
                text = f"{path} is held by {who}; end that first, or choose another with --socket"
                return Finding("warn", "socket", text)
        return Finding("fail", "socket", str(error))
    listener.sock.close()
    listener.unlink()
    stale = "; one that a killed daemon had left was removed" if there else ""
    return Finding("ok", "socket", f"{path} can be used{stale}")
