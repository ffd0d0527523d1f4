"""A real `ser-web` process."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.bridge_process import BridgeProcess
from support.daemon import wait_for


class WebBridge(BridgeProcess):
    """`ser-web` on a free port.

    Args:
        folder: for the log.
        socket: the daemon's.
        arguments: further arguments of the command line.
        environment: variables in addition to those of this process.
    """

    def __init__(
        self, folder: Path, socket: Path, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        common = ("--socket", socket) if "--port" in arguments else ("--socket", socket, "--port", 0)
        super().__init__("ser_bridges.web.cli", folder, *common, *arguments, environment=environment)

    @property
    def link(self) -> str:
        """The link that it has printed."""
        wait_for(lambda: "Open http" in self.log or self.process.poll() is not None)
        found = re.search(r"Open (\S+)", self.log)
        assert found is not None, self.log
        return found[1]

    @property
    def address(self) -> str:
        """`http://127.0.0.1:PORT/`, whatever name the link has."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def port(self) -> int:
        return int(self.link.partition("/#")[0].rpartition(":")[2])

    @property
    def token(self) -> str:
        return self.link.partition("#token=")[2]

    @property
    def headers(self) -> dict[str, str]:
        """What a program sends."""
        return {"Authorization": f"Bearer {self.token}"}


async def until(socket: Any, wanted: str, **fields: object) -> dict[str, Any]:
    """Read a WebSocket up to a message of a type, with these fields in its data or beside its type."""
    while True:
        message: dict[str, Any] = json.loads(await socket.receive_str(timeout=20))
        if message["type"] == wanted and {**message, **message["data"]}.items() >= fields.items():
            return message
