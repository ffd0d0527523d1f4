"""Who gets a place on a socket, and who makes room."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass

import pytest

from ser_daemon.wire.peers import Peer
from ser_daemon.wire.places import Places
from ser_daemon.wire.server import RESERVED_DESCRIPTORS, divide_places

DAEMON, ALICE, BOB = 990, 1000, 1001


@dataclass(eq=False)
class Client:
    peer: Peer
    last_active: float = 0.0
    is_busy: bool = False
    displaced: bool = False

    def displace(self) -> None:
        self.displaced = True

    def close(self) -> None:
        raise AssertionError

    abort = close


def client(uid: int, last_active: float = 0.0, *, pid: int | None = None, busy: bool = False) -> Client:
    return Client(Peer(pid if pid is not None else id(object()), uid), last_active, busy)


def fill(places: Places, *clients: Client) -> None:
    assert all(places.add(one) for one in clients)


def test_the_user_with_most_connections_makes_room_with_the_one_idle_the_longest():
    old, new, bobs = client(ALICE, 1.0), client(ALICE, 2.0), client(BOB, 0.0)
    places = Places(6, DAEMON)
    fill(places, new, old, client(ALICE, 3.0), bobs, client(BOB, 1.0), client(0, 0.0))
    assert places.add(client(DAEMON, 4.0))
    assert old.displaced
    assert not new.displaced
    assert not bobs.displaced
    assert (len(places), places.displaced) == (6, 1)


def test_of_users_with_as_many_connections_the_newcomers_own_makes_room():
    places = Places(4, DAEMON)
    bobs = client(BOB)
    fill(places, client(DAEMON), client(0), client(ALICE), bobs)
    assert places.add(client(BOB))
    assert bobs.displaced


def test_a_user_may_hold_half_of_the_places_and_then_makes_room_for_itself():
    places = Places(6, DAEMON)
    clients = [client(ALICE, float(number)) for number in range(10)]
    fill(places, *clients)
    assert [one.displaced for one in clients] == [True] * 7 + [False] * 3
    assert len(places) == 3
    fill(places, *(client(BOB) for _ in range(3)))
    assert not any(one.displaced for one in clients[7:])


@pytest.mark.parametrize("uid", [0, DAEMON])
def test_root_and_the_daemons_own_user_may_hold_all_places(uid):
    places = Places(6, DAEMON)
    fill(places, *(client(uid) for _ in range(6)))
    assert (len(places), places.displaced) == (6, 0)
    assert places.add(client(ALICE))
    assert (len(places), places.displaced) == (6, 1)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_user_may_hold_one_place_however_few_there_are(size):
    places = Places(size, DAEMON)
    first = client(ALICE)
    fill(places, first)
    assert len(places) == 1
    assert not first.displaced


def test_of_one_user_the_process_with_most_connections_makes_room():
    places = Places(5, DAEMON)
    listener = client(DAEMON, 0.0, pid=1)
    crowd = [client(DAEMON, float(number), pid=2) for number in range(1, 5)]
    fill(places, listener, *crowd)
    fill(places, *(client(DAEMON, 10.0 + number, pid=2) for number in range(100)))
    assert not listener.displaced
    assert all(one.displaced for one in crowd)


def test_a_client_whose_verb_runs_makes_no_room():
    places = Places(2, DAEMON)
    fill(places, client(DAEMON, busy=True), client(DAEMON, busy=True))
    assert not places.add(client(ALICE))
    assert (len(places), places.rejected) == (2, 1)


def test_places_can_be_given_up_and_do_not_come_back():
    places = Places(8, DAEMON)
    assert not places.give_up(2, "a reason")
    assert places.size == 8
    fill(places, client(ALICE), client(BOB, 3.0), client(BOB, 2.0), client(BOB, 1.0))
    assert places.give_up(2, "a reason")
    assert sorted(one.peer.uid for one in places.holders) == [ALICE, BOB]
    assert places.size == 2
    fill(places, client(DAEMON))
    assert len(places) == 2
    assert places.give_up(8, "a reason")
    assert (len(places), places.size) == (0, 1)


@pytest.mark.parametrize(
    ("descriptors", "places"),
    [
        (1024, {"events": 256, "control": 256}),
        (resource.RLIM_INFINITY, {"events": 256, "control": 256}),
        (256, {"events": 144, "control": 48}),
        (100, {"events": 27, "control": 9}),
        (20, {"events": 6, "control": 2}),
    ],
)
def test_descriptors_are_reserved_for_the_device_and_the_control_socket(descriptors, places, caplog):
    assert divide_places(256, 2, descriptors) == places
    assert sum(places.values()) <= max(descriptors - RESERVED_DESCRIPTORS, 8) or descriptors < 0
    assert ("room for" in caplog.text) == (places["events"] < 256)
    assert len(caplog.records) <= 1


CONNECT = """
import os, socket, sys
os.setuid(65534)
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    clients.append(client)
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_users_idle_listeners_never_take_more_than_half(new_wire, folder):
    wire = new_wire()
    wire.server = wire.make_server(max_clients=8)
    await wire.start()
    for part in (folder, *folder.parents):
        if "pytest-of-" in str(part):
            part.chmod(0o755)
    wire.path.chmod(0o666)
    mine = [await wire.listen() for _ in range(3)]
    program = [sys.executable, "-c", CONNECT, os.fspath(wire.path), "20"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        await wire.until(lambda: wire.server.metrics["clients_displaced"] == 16)
        assert wire.server.metrics["clients"] == 7
        for peer in mine:
            assert (await peer.ask({"type": "ping"}))["type"] == "pong"
        # The last place.
        mine += [await wire.listen()]
        for peer in mine:
            assert (await peer.ask({"type": "ping"}))["type"] == "pong"
        other.kill()
    await wire.close()
