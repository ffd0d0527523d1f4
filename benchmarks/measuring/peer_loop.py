"""The process of a peer: read a file in real time in the reads of the daemon, and give each read to the peer."""

from __future__ import annotations

import sys
from pathlib import Path

from measuring.peers import PEERS
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.file import FileSource


def main(name: str, path: str) -> None:
    push = next(peer for peer in PEERS if peer.name == name).make()
    source = FileSource(Path(path), AudioConfig())
    source.open()
    print("ready", flush=True)
    while (chunk := source.read()) is not None:
        push(chunk.samples)


if __name__ == "__main__":
    main(*sys.argv[1:])
