"""The announcement in the local network."""

from __future__ import annotations

import sys

import pytest

from ser_bridges.wyoming.announce import announce, check_announcement
from ser_daemon.sources.wyoming_uri import TcpAddress, UnixAddress, WyomingAddress
from ser_model.errors import SerError


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


async def test_others_find_the_service() -> None:
    found = pytest.importorskip("zeroconf.asyncio")
    check_announcement(TcpAddress("0.0.0.0", 10_700))
    try:
        service = await announce(TcpAddress("0.0.0.0", 10_700), "ser-test")
    except SerError as error:
        pytest.skip(f"no network here: {error}")
    browser = found.AsyncZeroconf()
    try:
        info = found.AsyncServiceInfo("_wyoming._tcp.local.", "ser-test._wyoming._tcp.local.")
        assert await info.async_request(browser.zeroconf, 5_000)
        assert info.port == 10_700
    finally:
        await browser.async_close()
    assert service is not None
