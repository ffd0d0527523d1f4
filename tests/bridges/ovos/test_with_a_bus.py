"""`ser-ovos` between a real message bus and a daemon: what a second program on the bus sees."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ser_bridges.ovos.hold import RENEW_SECONDS
from ser_daemon.wire.events import AudioState
from ser_daemon.wire.protocol import CaptureState
from support.bridge_process import BridgeProcess
from support.commands import run
from support.daemon import Daemon, wait_for
from support.demo import write_demo_recordings
from support.scripted_daemon import ScriptedDaemon

if TYPE_CHECKING:
    from support.ovos_bus import BusClient, MessageBus

Start = Callable[..., BridgeProcess]

BEGINS, ENDS = "recognizer_loop:audio_output_start", "recognizer_loop:audio_output_end"


def client_of(bus: MessageBus) -> BusClient:
    from support.ovos_bus import BusClient

    return BusClient(bus.url)


def connected(bus: MessageBus, bridge: Start, *arguments: object) -> tuple[BridgeProcess, BusClient]:
    """Start a bridge; return it with another program on the bus, once the bridge is there."""
    client = client_of(bus)
    process = bridge("--url", bus.url, "--verbose", *arguments)
    client.until("ser.microphone", state="listening")
    return process, client


def test_each_utterance_gives_one_message(bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    _, client = connected(bus, bridge)
    daemon.utterance(1)
    daemon.utterance(2, "unknown")
    first, second = client.until("ser.emotion"), client.until("ser.emotion")
    assert first["data"]["utterance_id"] == "u-1"
    assert first["data"]["label"] == "angry"
    assert first["data"]["final"] is True
    assert 0 <= first["data"]["late_ms"] < 5000
    assert first["context"] == {"session": {"session_id": "default"}, "source": "ser-daemon"}
    assert second["data"]["label"] == "unknown"
    assert [message["type"] for message in client.all].count("ser.emotion") == 2


def test_the_official_client_understands_it(bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    import queue

    from ovos_bus_client import Message, MessageBusClient

    official = MessageBusClient("127.0.0.1", bus.port, "/core")
    got: queue.Queue[Message] = queue.Queue()
    official.on("ser.emotion", got.put)
    official.run_in_thread()
    assert official.connected_event.wait(30)
    connected(bus, bridge)
    daemon.utterance(1)
    assert got.get(timeout=30).data["label"] == "angry"
    official.close()


def test_the_address_comes_from_the_assistants_own_settings(
    bus: MessageBus, daemon: ScriptedDaemon, bridge: Start
) -> None:
    client = client_of(bus)
    bridge(XDG_CONFIG_HOME=str(bus.settings))
    client.until("ser.microphone", state="listening")


def test_the_daemon_is_held_while_the_assistant_speaks(bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    _, client = connected(bus, bridge, "--echo", "200")
    client.send(BEGINS)
    wait_for(lambda: daemon.control.calls == [("hold", 60_000)])
    client.send(ENDS)
    wait_for(lambda: daemon.control.calls == [("hold", 60_000), ("hold", 200)])
    client.send(ENDS)
    client.send(BEGINS)
    wait_for(lambda: daemon.control.calls[2:] == [("hold", 60_000)])


def test_a_hold_ends_with_the_bus_and_with_the_bridge(
    own_bus: MessageBus, daemon: ScriptedDaemon, bridge: Start
) -> None:
    process, client = connected(own_bus, bridge, "--echo", "0")
    client.send(BEGINS)
    wait_for(lambda: daemon.control.calls == [("hold", 60_000)])
    own_bus.kill()
    wait_for(lambda: daemon.control.calls[1:] == ["release"])
    own_bus.start()
    client = client_of(own_bus)
    client.until("ser.microphone", state="listening")
    client.send(BEGINS)
    wait_for(lambda: daemon.control.calls[2:] == [("hold", 60_000)])
    process.process.terminate()
    assert process.wait() == 0
    assert daemon.control.calls[3:] == ["release"]


def test_with_no_hold_the_daemon_is_left_alone(bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    _, client = connected(bus, bridge, "--no-hold")
    client.send(BEGINS)
    daemon.utterance(1)
    client.until("ser.emotion")
    assert daemon.control.calls == []


def test_a_refused_hold_is_said_once_and_results_still_come(
    bus: MessageBus, daemon: ScriptedDaemon, bridge: Start
) -> None:
    process, client = connected(bus, bridge)
    daemon.control.refusal = "Not you."
    for kind in (BEGINS, ENDS, BEGINS):
        client.send(kind)
    process.wait_for_log("The microphone cannot be held while the assistant speaks")
    daemon.utterance(1)
    client.until("ser.emotion")
    assert process.log.count("cannot be held") == 1


def test_results_wait_while_the_bus_is_away(own_bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    process, _ = connected(own_bus, bridge)
    own_bus.kill()
    process.wait_for_log("closed the connection. Trying again.")
    for number in range(130):
        daemon.utterance(number)
    process.wait_for_log("cannot be reached: Connection refused. Trying again.")
    own_bus.start()
    client = client_of(own_bus)
    numbers = []
    while not numbers or numbers[-1] != 129:
        numbers.append(int(client.until("ser.emotion")["data"]["utterance_id"].removeprefix("u-")))
    # A hundred wait, one of them the state of the microphone; which is the newest of all. One may have gone into the
    # connection that broke, or come before this client was there.
    assert numbers == list(range(numbers[0], 130))
    assert 90 <= len(numbers) <= 101
    assert process.log.count("cannot be reached") == 1


def test_a_bus_that_comes_later_is_waited_for(own_bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    own_bus.kill()
    process = bridge("--url", own_bus.url)
    process.wait_for_log(f"The message bus {own_bus.url} cannot be reached: Connection refused. Trying again.")
    own_bus.start()
    client_of(own_bus).until("ser.microphone", state="listening")


def test_a_daemon_that_is_away_or_muted_is_told_to_the_bus(
    bus: MessageBus, daemon: ScriptedDaemon, bridge: Start
) -> None:
    process, client = connected(bus, bridge)
    daemon.publish(AudioState(state=CaptureState.MUTED, timestamp=0, time="2026-11-22T08:44:04.124Z"))
    client.until("ser.microphone", state="muted")
    daemon.stop()
    reason = client.until("ser.microphone", state="unavailable")["data"]["reason"]
    assert reason == "The daemon closed the connection."
    client.send(BEGINS)
    process.wait_for_log("cannot be held while the assistant speaks: No daemon is running")
    daemon.start()
    client.until("ser.microphone", state="listening")
    began = time.monotonic()
    wait_for(lambda: ("hold", 60_000) in daemon.control.calls)
    assert time.monotonic() - began < RENEW_SECONDS / 2, "at once, not with the next renewal"
    daemon.utterance(7)
    assert client.until("ser.emotion")["data"]["utterance_id"] == "u-7"


def test_without_a_daemon_it_waits(bus: MessageBus, folder: Path, bridge: Start) -> None:
    client = client_of(bus)
    bridge("--url", bus.url)
    client.until("ser.microphone", state="unavailable")
    with ScriptedDaemon(folder) as daemon:
        client.until("ser.microphone", state="listening")
        daemon.utterance(1)
        client.until("ser.emotion")


def test_what_is_no_message_harms_nothing(bus: MessageBus, daemon: ScriptedDaemon, bridge: Start) -> None:
    process, client = connected(bus, bridge)
    no_data = json.dumps({"type": BEGINS, "data": "text"})
    client.send("error")
    for text in ("no JSON", "[]", "{}", '{"type": 3}', no_data, "\u0000" * 100_000):
        client.send_raw(text)
    client.send(BEGINS)
    wait_for(lambda: ("hold", 60_000) in daemon.control.calls)
    daemon.utterance(1)
    client.until("ser.emotion")
    assert "rror" not in process.log
    assert process.log.count("Connected to the message bus") == 1


def test_a_bus_that_stands_still_holds_up_neither_the_daemon_nor_the_end(
    own_bus: MessageBus, daemon: ScriptedDaemon, bridge: Start
) -> None:
    process, _ = connected(own_bus, bridge)
    assert own_bus.process is not None
    own_bus.process.send_signal(signal.SIGSTOP)
    for number in range(300):
        daemon.utterance(number)
    process.process.terminate()
    assert process.wait() == 0


def test_another_program_on_the_port_is_no_bus(folder: Path, daemon: ScriptedDaemon, bridge: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = bridge("--url", f"ws://127.0.0.1:{port}/core")
        connection, _ = server.accept()
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        process.wait_for_log(f"What answers at ws://127.0.0.1:{port}/core is no message bus; check --url.")
        connection.close()


@pytest.mark.parametrize("url", ["127.0.0.1:8181", "http://127.0.0.1:8181/core", "ws://", "ws://a:99999/core"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    run("ser-ovos", "--url", url).assert_error("ser-ovos", url, "ws://HOST:PORT/ROUTE")


def test_a_missing_library_names_its_extra() -> None:
    before = "sys.modules['ovos_bus_client'] = None"
    run("ser-ovos", before=before).assert_error("ser-ovos", "extra ovos: pip install 'ser-daemon[ovos]'")


def test_a_real_daemon_is_silent_while_the_assistant_speaks(bus: MessageBus, folder: Path, bridge: Start) -> None:
    (recording, _) = write_demo_recordings(folder)[6]
    from ser_model import read_audio

    samples = read_audio(str(recording))
    with Daemon("--mic", "stdin", "--rate", "16000", folder=folder, feed=True) as daemon:
        events = daemon.subscribe()
        _, client = connected(bus, bridge, "--echo", "0")
        client.send(BEGINS)
        events.until("state:held")
        daemon.write(samples)
        client.send(ENDS)
        events.until("state:listening")
        daemon.write(samples)
        daemon.end_of_input()
        client.until("ser.emotion", label="angry")
