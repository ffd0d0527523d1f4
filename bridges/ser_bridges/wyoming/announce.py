"""Announces the service in the local network (mDNS), as other Wyoming services do."""

from __future__ import annotations

import logging

from ser_bridges import command
from ser_daemon.sources.wyoming_uri import TcpAddress, WyomingAddress
from ser_model.errors import SerError

log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")


def check_announcement(address: WyomingAddress) -> None:
    """Check what `announce` needs.

    Raises:
        SerError: the library is missing, or nobody else could connect to the address.
    """
    if not isinstance(address, TcpAddress):
        raise SerError("--zeroconf needs --uri tcp://HOST:PORT: other machines cannot reach a Unix socket.")
    if address.host in LOOPBACK:
        raise SerError(
            f"--zeroconf would announce {address.host}, which no other machine reaches; "
            "expected --uri tcp://0.0.0.0:PORT or an address of this machine."
        )
    command.require("zeroconf", "zeroconf")


async def announce(address: TcpAddress, name: str | None) -> object:
    """Register the service as `_wyoming._tcp`; it stays registered as long as the result is kept.

    Args:
        address: where the service listens.
        name: of the service; `None`: the machine's hardware address, as other Wyoming services have it.

    Raises:
        SerError: the address cannot be announced.
    """
    from wyoming.zeroconf import HomeAssistantZeroconf

    host = None if address.host in EVERYWHERE else address.host
    try:
        service = HomeAssistantZeroconf(address.port, name, host)
        await service.register_server()
    except OSError as error:
        raise SerError(f"--zeroconf: {address.host} cannot be announced: {error.strerror or error}.") from error
    log.info("Announced as %s._wyoming._tcp.local.", service.name)
    return service
