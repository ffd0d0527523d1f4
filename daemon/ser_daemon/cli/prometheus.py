"""`ser-ctl metrics --prometheus`: prints the metrics, or writes them for node_exporter's textfile collector."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_daemon.client import Client, NotRunning, ProtocolError
from ser_daemon.views.prometheus import absent_text, prometheus_text
from ser_model.atomic_file import replace_file
from ser_model.errors import SerError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `metrics`."""
    parser.add_argument("--prometheus", action="store_true", help="in Prometheus' text format")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write that to a file in one step, for node_exporter"
    )
    parser.set_defaults(output=None)


def run(options: argparse.Namespace) -> int:
    """Print or write the metrics; return 0.

    Raises:
        SerError: no daemon answers. The file, where one is named, then says that it is down.
    """
    try:
        text = _ask(Client(options.socket, timeout=options.timeout))
    except NotRunning:
        if options.output is not None:
            _write(options.output, absent_text())
        raise
    if options.output is None:
        print(text, end="")
    else:
        _write(options.output, text)
    return 0


def _ask(client: Client) -> str:
    metrics, status = client.request("metrics", histograms=True), client.request("status")
    try:
        return prometheus_text(metrics, status)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        raise ProtocolError(
            "The answer to 'metrics' is not one of ser-daemon's; does another program listen? --json shows it."
        ) from None


def _write(path: Path, text: str) -> None:
    if not path.parent.is_dir():
        raise SerError(f"{path} can't be written: there is no folder {path.parent}.")
    try:
        # Readable for all: node_exporter runs as its own user.
        replace_file(path, text)
    except OSError as error:
        raise SerError(f"{path} can't be written: {error.strerror}.") from None
