"""Announces the service in the local network (mDNS), as other Wyoming services do."""

from __future__ import annotations

import contextlib
import logging
import socket
import uuid
from collections.abc import AsyncIterator

from ser_bridges import command
from ser_daemon.sources.wyoming_uri import TcpAddress, WyomingAddress
from ser_model.errors import SerError

log = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")

KIND = "_wyoming._tcp.local."
"""The kind of service under which Home Assistant looks for Wyoming services."""

MDNS_GROUP = "224.0.0.251"
"""RFC 6762, section 3."""


def check_announcement(address: WyomingAddress) -> None:
    """Check what `announced` needs.

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


@contextlib.asynccontextmanager
async def announced(address: TcpAddress, name: str | None) -> AsyncIterator[None]:
    """Register the service, and tell others at the end that it is gone.

    `wyoming.zeroconf` does only the first: others would show a service that has ended until its record is too old.

    Args:
        address: where the service listens.
        name: of the service; `None`: the machine's hardware address, as other Wyoming services have it.

    Raises:
        SerError: the address cannot be announced.
    """
    import zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    name = name or f"{uuid.getnode():012x}"
    service: AsyncZeroconf | None = None
    try:
        try:
            host = _own_address() if address.host in EVERYWHERE else address.host
            info = AsyncServiceInfo(KIND, f"{name}.{KIND}", parsed_addresses=[host], port=address.port)
            service = AsyncZeroconf()
            # Wait for the answer of who has the name already, and for the announcement itself.
            await (await service.async_register_service(info))
        except zeroconf.NonUniqueNameException:
            raise SerError(f"--zeroconf: another service is announced as {name}; choose another NAME.") from None
        except (OSError, zeroconf.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise SerError(f"--zeroconf: {address.host} cannot be announced as {name:.80}: {reason}.") from error
        log.info("Announced as %s.%s", name, KIND)
        yield
    finally:
        if service is not None:
            await service.async_unregister_all_services()
            await service.async_close()


def _own_address() -> str:
    """Return the address by which others in the network reach this machine. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((MDNS_GROUP, 1))
        return str(probe.getsockname()[0])
