"""The announcement in the local network."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from enum import Enum

import pytest
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from ser_bridges.wyoming.announce import KIND, MDNS_GROUP, announced, check_announcement
from ser_daemon.sources.wyoming_uri import TcpAddress, UnixAddress, WyomingAddress
from ser_model.errors import SerError
from support.daemon import wait_for
from support.ports import free_port
from support.wyoming_bridge import WyomingBridge


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (UnixAddress("/run/x"), "--zeroconf needs --uri tcp://HOST:PORT: other machines cannot reach a Unix socket."),
        (TcpAddress("127.0.0.1", 10_700), "--zeroconf would announce 127.0.0.1, which no other machine reaches;"),
        (TcpAddress("localhost", 10_700), "--zeroconf would announce localhost, which no other machine reaches;"),
    ],
)
def test_an_address_that_no_other_machine_reaches_is_not_announced(address: WyomingAddress, sentence: str) -> None:
    with pytest.raises(SerError) as raised:
        check_announcement(address)
    assert str(raised.value).startswith(sentence)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(SerError, match=r"install the extra zeroconf: pip install 'ser-daemon\[zeroconf\]'"):
        check_announcement(TcpAddress("0.0.0.0", 10_700))


@pytest.fixture
def network() -> None:
    """Skip where zeroconf is missing, or no network takes its packets."""
    pytest.importorskip("zeroconf")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((MDNS_GROUP, 5353))
        except OSError as error:
            pytest.skip(f"no network here: {error}")


class Browser:
    """Another program that looks for Wyoming services; `seen` holds (what happened, name)."""

    def __init__(self) -> None:
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        self.zeroconf = AsyncZeroconf()
        self.seen: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        self._browser = AsyncServiceBrowser(self.zeroconf.zeroconf, KIND, handlers=[self._note])

    def _note(self, zeroconf: object, service_type: str, name: str, state_change: Enum) -> None:
        self.seen.append((state_change.name, name))
        self._changed.set()

    async def until(self, *wanted: str) -> None:
        """Wait until something was seen."""
        async with asyncio.timeout(20):
            while wanted not in self.seen:
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        await self._browser.async_cancel()
        await self.zeroconf.async_close()


async def test_another_program_finds_the_service_and_learns_that_it_is_gone(network: None) -> None:
    from zeroconf.asyncio import AsyncServiceInfo

    name = f"ser-test-{os.getpid()}"
    port = free_port()
    browser = Browser()
    try:
        with WyomingBridge("--zeroconf", name, uri=f"tcp://0.0.0.0:{port}") as bridge:
            await browser.until("Added", f"{name}.{KIND}")
            info = AsyncServiceInfo(KIND, f"{name}.{KIND}")
            assert await info.async_request(browser.zeroconf.zeroconf, 5_000)
            assert info.port == port
            # Whoever found it can use it.
            async with AsyncClient.from_uri(f"tcp://{info.parsed_addresses()[0]}:{port}") as client:
                await client.write_event(Describe().event())
                answer = await client.read_event()
                assert answer is not None
                assert [program.name for program in Info.from_event(answer).wake] == ["ser-daemon"]
            bridge.process.terminate()
            await browser.until("Removed", f"{name}.{KIND}")
            assert bridge.process.wait(5) == 0
    finally:
        await browser.close()


async def test_a_name_that_is_taken_and_one_that_cannot_be_get_a_sentence(network: None) -> None:
    name = f"ser-twice-{os.getpid()}"
    with WyomingBridge("--zeroconf", name, uri=f"tcp://0.0.0.0:{free_port()}") as first:
        await asyncio.to_thread(wait_for, lambda: "Announced" in first.stderr)
        for wrong, sentence in ((name, "another service is announced as"), ("x" * 300, "cannot be announced as xxx")):
            with pytest.raises(SerError, match=sentence):
                async with announced(TcpAddress("0.0.0.0", free_port()), wrong):
                    pass
