"""`ser-daemon`: listen to a microphone and publish the emotion of speech on a Unix socket."""

# Other modules of the daemon are imported inside functions: `--help` must not load NumPy and ONNX Runtime.
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser_daemon.cli.openssl import import_without_openssl
from ser_daemon.cli.options import add_socket
from ser_model import console
from ser_model.command_line import LOGGERS, CommandParser, Version, add_verbose, show_log
from ser_model.printable import printable

if TYPE_CHECKING:
    from ser_daemon.config.loading import Config

EXAMPLES = (
    ("ser-daemon", "listen to the default microphone and show what is heard"),
    ("ser-daemon --list-devices", "which microphones there are"),
    ('ser-daemon --mic "USB"', "the microphone with USB in its name"),
    ("ser-daemon --mic file:speech.flac", "a WAV or FLAC file, as if it were spoken now"),
    ("ser-daemon --mic file:a.wav --fast", "the same, as fast as it goes"),
    ("arecord -t wav | ser-daemon --mic stdin", "audio from another program"),
    ("ser-daemon --check", "does everything work here? what is missing?"),
)

NOTES = """\
Meanwhile, in another terminal:
  ser-watch        the same picture, from the socket
  ser-ctl mute     close the microphone; also: unmute, status, reload
  ser-ctl config   which settings are in force, and where each was set

Settings come from the command line, SER_* variables, --config FILE, ~/.config/ser-daemon/config.yaml and \
/etc/ser-daemon/config.yaml, in this order. `ser-ctl config` prints all of them."""

STATUSES = {
    0: "it ended as asked: the file was read to its end, --check found nothing to repair, or it was stopped",
    1: "a failure that a restart may resolve, such as a device that stopped to work",
    2: "something that you can correct; one sentence on stderr says what",
    130: "Ctrl-C during the start",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0; 2 for what the user can correct, with one sentence on stderr; 1 for a failure that a
        restart may resolve; 130 after Ctrl-C during the start.
    """
    return console.run("ser-daemon", lambda: _run(build_parser().parse_args(argv)))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="ser-daemon",
        description="Listen to a microphone and tell, on a Unix socket, how something was said.",
        examples=EXAMPLES,
        notes=NOTES,
        statuses=STATUSES,
        verbose=False,
    )
    add = parser.add_argument_group("audio").add_argument
    device = "default, a name or part of it, an index, file:PATH, stdin or wyoming:URI"
    add("--mic", "--device", metavar="DEVICE", help=device)
    add("--channel", type=int, metavar="N", help="listen to this channel, from 1 (default: the mean of all)")
    add("--realtime", dest="pace", action="store_const", const="realtime", help="play a file in real time (default)")
    add("--fast", dest="pace", action="store_const", const="fast", help="read a file as fast as it goes")
    add("--rate", type=int, metavar="HZ", help="stdin is raw audio of this rate (default: it is a WAV file)")
    add("--channels", type=int, metavar="N", help="channels of raw audio on stdin (default: 1)")
    add("--format", metavar="FORMAT", help="format of raw audio on stdin: s16le, s32le, f32le or u8 (default: s16le)")
    settings = parser.add_argument_group("settings")
    add = settings.add_argument
    add("--config", type=Path, metavar="FILE", help="read this file too; it overrides the other files")
    add("--model", metavar="PATH", help="use this exported model (default: the one in the package)")
    add_socket(settings, "serve subscribers on this socket")
    add("--control-socket", metavar="PATH", help="take mute, hold and the like here (default: beside the other)")
    output = parser.add_argument_group("output")
    add = output.add_argument
    add("--plain", action="store_true", help="print a line per event, also in a terminal")
    add_verbose(output, "log everything; with --check, also print what is good", action="store_true")
    add("--service", action="store_true", help="run as a service: only the log; wait for a missing device")
    instead = parser.add_argument_group("instead of listening").add_mutually_exclusive_group().add_argument
    instead("--list-devices", action="store_true", help="list the microphones and end")
    instead("--check", action="store_true", help="try settings, model, microphone and sockets, and end")
    instead("--demo", action="store_true", help="listen; without a microphone, play the bundled recording")
    instead("--version", action=Version, help="print the version and end")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.verbose:
        # A daemon that listens writes the log of ser_daemon in its own way.
        listens = not (options.list_devices or options.check)
        show_log(("ser_model",) if listens else LOGGERS)
    if options.list_devices:
        return _list_devices()
    config = _load_config(options)
    if options.check:
        from ser_daemon.diagnostics.check import run_check

        return run_check(config, verbose=options.verbose)
    import_without_openssl()
    from ser_daemon.cli.run import run_daemon

    return run_daemon(
        config, lambda: _load_config(options), service=options.service, plain=options.plain, demo=options.demo
    )


def _load_config(options: argparse.Namespace) -> Config:
    from ser_daemon.config.loading import load_config

    overrides: dict[str, object] = {
        "audio.device": options.mic,
        "audio.channel": options.channel,
        "audio.pace": options.pace,
        "audio.raw_rate": options.rate,
        "audio.raw_channels": options.channels,
        "audio.raw_format": options.format,
        "model.path": options.model,
        "socket.path": options.socket,
        "socket.control_path": options.control_socket,
        "service.log_level": "debug" if options.verbose and not options.check else None,
    }
    return load_config(path=options.config, environ=os.environ, overrides=overrides)


def _list_devices() -> int:
    from ser_daemon.pipeline.threads import run_with_timeout
    from ser_daemon.sources import RESPONSE_SECONDS, NoResponse, list_devices
    from ser_daemon.sources.probe import probe_sound_system

    probe_sound_system()
    devices = run_with_timeout(list_devices, RESPONSE_SECONDS, NoResponse())
    if not devices:
        print("There is no microphone. Plug one in, or start the sound server of your session.")
    for device in devices:
        mark = "*" if device.default else " "
        details = f"({device.host_api}, {device.channels} channels, {device.rate:g} Hz)"
        print(printable(f"{mark} {device.index:>3}  {device.name}  {details}"))
    if devices:
        print("\n* is the default. Use a name or part of it with --mic: numbers change.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
