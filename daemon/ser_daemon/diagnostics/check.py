"""`ser-daemon --check`: try everything that the daemon needs, and print the findings with advice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ser_daemon import paths
from ser_daemon.config.device_spec import AudioFile, CaptureDeviceSpec, StandardInput
from ser_daemon.config.loading import Config
from ser_daemon.config.profiles import gate_with_profile, profile_folders
from ser_daemon.config.schema import KEYS
from ser_daemon.diagnostics.host_probes import (
    Finding,
    Grade,
    Machine,
    check_service,
    find_capture_problems,
    mute_advice,
)
from ser_daemon.diagnostics.running_daemon import RunningDaemon, find_daemon
from ser_daemon.pipeline.threads import run_with_timeout
from ser_daemon.sources.base import DeviceBusy
from ser_daemon.sources.probe import probe_sound_system
from ser_model.audio.levels import SILENCE_DBFS, dbfs
from ser_model.errors import SerError
from ser_model.printable import printable

LISTEN_SECONDS = 5.0
"""A device without samples for so long counts as broken. Sound servers may need 2 s for the first samples."""

LEVEL_SAMPLES = 8000
"""Length of the audio that the printed level is measured on: 0.5 s."""


def run_check(config: Config, environ: Mapping[str, str] = os.environ, *, verbose: bool = False) -> int:
    """Print the verdict, and then the findings that are not good.

    Args:
        config: The configuration to check.
        environ: Environment variables.
        verbose: Print the good findings as well, with the settings that were changed.

    Returns:
        0 if the daemon can work, 2 if something must be repaired first.
    """
    daemon = find_daemon(config.socket.path, environ)
    findings = list(run_checks(config, environ, daemon))
    failed = any(finding.grade is Grade.FAIL for finding in findings)
    if failed:
        verdict = "Not ready: see the lines that begin with fail."
    elif daemon is not None:
        verdict = "Running. Watch it with: ser-watch"
    else:
        verdict = "Ready. Start it with: ser-daemon, and watch it with: ser-watch"
    shown = [finding for finding in findings if verbose or finding.grade is not Grade.OK]
    lines = [printable(f"{finding.grade:<5} {finding.subject:<7} {finding.text}") for finding in shown]
    if good := len(findings) - len(shown):
        lines.append(f"{good} findings are good; ser-daemon --check -v shows them.")
    print("\n".join([verdict, "", *lines]))
    return 2 if failed else 0


def run_checks(config: Config, environ: Mapping[str, str], daemon: RunningDaemon | None) -> Iterator[Finding]:
    """Yield the findings, in the order in which a starting daemon would meet them."""
    yield from _check_config(config)
    yield _check_model(config)
    yield from _check_audio(config, environ, daemon)
    yield from _check_sockets(config, environ, daemon)
    yield from check_service(Machine(environ))


def _check_config(config: Config) -> Iterator[Finding]:
    files = ", ".join(str(file) for file in config.files) or "no file"
    yield Finding(Grade.OK, "config", files)
    at_default = 0
    for name, key in KEYS.items():
        value = config.value(name)
        at_default += value == key.default
        if value != key.default:
            text = f"{name} = {'null' if value is None else value}  ({config.sources.get(name, 'built-in')})"
            yield Finding(Grade.OK, "config", text)
    yield Finding(Grade.OK, "config", f"{at_default} settings at their defaults; ser-ctl config shows them")


def _check_model(config: Config) -> Finding:
    # Imported late: loading ONNX Runtime takes a moment, and the findings about the settings come first.
    from ser_model.network.estimator import Model

    try:
        model = Model.load(config.model.path)
    except SerError as error:
        return Finding(Grade.FAIL, "model", str(error))
    return Finding(Grade.OK, "model", f"{model.name} ({len(model.labels)} labels)")


def _check_audio(config: Config, environ: Mapping[str, str], daemon: RunningDaemon | None) -> Iterator[Finding]:
    if isinstance(config.audio.device_spec, StandardInput):
        yield Finding(Grade.OK, "audio", "stdin is read once the daemon runs")
        return
    try:
        if isinstance(config.audio.device_spec, CaptureDeviceSpec):
            probe_sound_system(config.audio.device)
        no_samples = SerError(f"{config.audio.device} was opened, but gave no samples for {LISTEN_SECONDS:g} s.")
        name, level = run_with_timeout(lambda: _measure_level(config), LISTEN_SECONDS + 1.0, no_samples)
    except SerError as error:
        if daemon is not None and daemon.has_device and isinstance(error, DeviceBusy):
            yield Finding(Grade.OK, "audio", f"the daemon that runs has the microphone: {daemon.device}")
            return
        yield Finding(Grade.FAIL, "audio", str(error))
        if isinstance(config.audio.device_spec, CaptureDeviceSpec):
            yield from find_capture_problems(Machine(environ))
            yield Finding(Grade.HINT, "audio", "to see what there is: ser-daemon --list-devices")
        return
    if level <= SILENCE_DBFS:
        yield Finding(Grade.WARN, "audio", f"{name} gives nothing but zeros; {mute_advice(Machine(environ))}")
    else:
        yield Finding(Grade.OK, "audio", f"{name} gives samples, level {level:.0f} dBFS")
    if isinstance(config.audio.device_spec, AudioFile):
        return
    _, notes = gate_with_profile(config, name, profile_folders(environ))
    for note in notes:
        yield Finding(Grade.WARN if note.warning else Grade.OK, "profile", note.text)
    if not notes:
        yield Finding(Grade.OK, "profile", "no profile: the gate learns by itself; better with: ser-calibrate mic")


def _measure_level(config: Config) -> tuple[str, float]:
    """Open the source; return its name and the level of its first samples in dBFS."""
    from ser_daemon.sources import make_source

    source = make_source(config.audio)
    source.open()
    try:
        samples = np.zeros(0, np.int16)
        # More than the first read: some devices begin with a moment of zeros.
        while len(samples) < LEVEL_SAMPLES and (chunk := source.read()) is not None:
            samples = np.concatenate((samples, chunk.samples))
    finally:
        source.close()
    return source.name, dbfs(samples.astype(np.float32) / 32768.0)


def _check_sockets(config: Config, environ: Mapping[str, str], daemon: RunningDaemon | None) -> Iterator[Finding]:
    events = config.socket.path or paths.user_socket(environ)
    if daemon is not None:
        yield Finding(Grade.OK, "socket", f"a daemon serves {daemon.socket}: {daemon.text}")
        if daemon.socket == events:
            return
    control = config.socket.control_path or paths.control_socket(events)
    for path in dict.fromkeys((events, control)):
        yield _check_socket(path)


def _check_socket(path: Path) -> Finding:
    from ser_daemon.wire.sockets import SocketError, bind, holder

    # An old socket file is replaced by `bind` only if no process listens on it.
    existed = path.is_socket()
    try:
        listener = bind(path)
    except SocketError as error:
        with contextlib.suppress(SocketError):
            if who := holder(path):
                if who.endswith("(systemd)"):
                    return Finding(Grade.OK, "socket", f"{path} is the installed service's")
                text = f"{path} is held by {who}; end that first, or choose another with --socket"
                return Finding(Grade.WARN, "socket", text)
        return Finding(Grade.FAIL, "socket", str(error))
    listener.sock.close()
    listener.unlink()
    stale = "; one that a killed daemon had left was removed" if existed else ""
    return Finding(Grade.OK, "socket", f"{path} can be used{stale}")
