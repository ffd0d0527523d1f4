"""`ser-mqtt` against a real Mosquitto: what arrives there, what comes back, and what happens when a side goes away."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from ser_daemon.wire.events import AudioState
from ser_daemon.wire.protocol import CaptureState
from support import mosquitto
from support.daemon import Daemon, wait_for
from support.pulse import virtual_microphone
from support.scripted_daemon import ScriptedDaemon, utterance

BASE = "ser-daemon/kitchen/ser-test"


def retained(broker: mosquitto.Broker) -> dict[str, str]:
    """Return what the broker keeps."""
    with broker.listen("#") as late:
        # Kept messages come before those that are published after the subscription.
        broker.publish("end/end", "x")
        late.value("end/end")
        return {message.topic: message.payload for message in late.all if message.retained}


def test_states_are_retained_and_results_are_not(broker, daemon, bridge) -> None:
    with broker.listen("#") as live:
        bridge(broker.port, "--partials")
        live.value("/daemon", "online")
        start, *rest = utterance(1, "angry")
        daemon.publish(start)
        assert live.value("/speaking", "ON").qos == 1
        daemon.publish(*rest)
        partial = live.value("/partial")
        assert (partial.qos, partial.data["utterance_id"], partial.data["final"]) == (0, "u-1", False)
        final = live.value("/utterance")
        assert final.qos == 1
        assert final.data.items() >= {"event_type": "angry", "room": "Kitchen", "label": "angry", "final": True}.items()
        assert 0 <= final.data["late_ms"] < 10_000
        live.value("/speaking", "OFF")
    kept = retained(broker)
    assert set(kept) >= {f"{BASE}/{name}" for name in ("status", "daemon", "speaking", "mute", "microphone")}
    assert "homeassistant/device/ser-test/config" in kept
    assert json.loads(kept[f"{BASE}/microphone"]) == {"state": "listening", "device": "USB Mic"}
    assert not [topic for topic in kept if topic.endswith(("utterance", "partial"))]


def test_a_killed_bridge_is_offline_and_a_stopped_one_says_so(broker, daemon, bridge) -> None:
    with broker.listen(f"{BASE}/status") as live:
        killed = bridge(broker.port)
        live.value("/status", "online")
        killed.process.kill()
        live.value("/status", "offline", seconds=10)
        stopped = bridge(broker.port)
        live.value("/status", "online")
        stopped.process.send_signal(signal.SIGTERM)
        live.value("/status", "offline", seconds=10)
        assert stopped.wait() == 0
    assert "Traceback" not in killed.log + stopped.log


def test_commands_reach_the_control_socket(broker, daemon, bridge) -> None:
    with broker.listen(f"{BASE}/#") as live:
        process = bridge(broker.port, "--commands", "mute,hold,reset-adaptation")
        live.value("/status", "online")
        for name, payload in (("mute", "ON"), ("hold", "2500"), ("reset-adaptation", "PRESS")):
            broker.publish(f"{BASE}/command/{name}", payload)
        wait_for(lambda: daemon.control.calls == ["mute", ("hold", 2500), "reset-adaptation"])
        # What is not allowed, not known or retained changes nothing, and the switch goes back.
        broker.publish(f"{BASE}/command/mute", "OFF")
        process.wait_for_log("unmute is not among")
        live.value("/mute", "OFF")
        broker.publish(f"{BASE}/command/mute", "maybe")
        broker.publish(f"{BASE}/command/explode", "")
        process.wait_for_log("expected ON or OFF", "no command 'explode'")
        broker.publish(f"{BASE}/command/hold", "x" * 5000)
        daemon.control.refusal = "The disk is full."
        broker.publish(f"{BASE}/command/mute", "ON")
        process.wait_for_log("The disk is full.")
    assert len(daemon.control.calls) == 3
    assert "xxxx" not in process.log, "a message longer than a command is not even sent to us"


def test_a_retained_command_is_ignored(broker, daemon, bridge) -> None:
    broker.publish(f"{BASE}/command/mute", "ON", "-r")
    process = bridge(broker.port)
    process.wait_for_log("is retained on the broker")
    assert daemon.control.calls == []


def test_results_wait_for_a_broker_that_is_away_and_everything_is_announced_again(broker, daemon, bridge) -> None:
    with broker.listen(f"{BASE}/status") as live:
        process = bridge(broker.port, "--partials")
        live.value("/status", "online")
        broker.stop()
    process.wait_for_log("cannot be reached")
    for number in range(1, 21):
        daemon.utterance(number)
    # The listener must be there before the bridge is.
    process.process.send_signal(signal.SIGSTOP)
    broker.start()
    with broker.listen("#") as live:
        process.process.send_signal(signal.SIGCONT)
        live.value("/config")
        finals = [live.value("/utterance") for _ in range(20)]
        assert [message.data["utterance_id"] for message in finals] == [f"u-{number}" for number in range(1, 21)]
        assert finals[0].data["late_ms"] > 0
        # The broker kept nothing over its restart, and has it all again.
        assert {message.topic.split("/")[-1] for message in live.all} >= {"config", "mute", "microphone", "status"}
        assert not [message for message in live.all if message.topic.endswith("/partial")]
        daemon.utterance(21)
        assert live.value("/utterance").data["utterance_id"] == "u-21"
        # The next would come after a minute.
        counts = [message.data for message in live.all if message.topic.endswith("/diagnostics")]
        assert [each["partials_dropped"] for each in counts] == [20]


def test_a_broker_that_is_away_at_the_start_is_waited_for(broker, daemon, bridge) -> None:
    broker.stop()
    process = bridge(broker.port)
    process.wait_for_log(f"The broker localhost:{broker.port} cannot be reached: Connection refused. Trying again.")
    broker.start()
    process.wait_for_log("Connected to the broker")
    assert process.log.count("cannot be reached") == 1, "it is said once, however many attempts follow"


def test_home_assistant_that_starts_gets_the_configuration_again(broker, daemon, bridge) -> None:
    with broker.listen("homeassistant/#") as live:
        bridge(broker.port)
        first = live.value("/config")
        broker.publish("homeassistant/status", "online")
        assert live.value("/config").payload == first.payload


def test_no_discovery_announces_nothing(broker, daemon, bridge) -> None:
    with broker.listen("#") as live:
        bridge(broker.port, "--no-discovery")
        live.value("/status", "online")
        daemon.utterance(1)
        live.value("/utterance")
        assert not [message for message in live.all if message.topic.startswith("homeassistant")]


def test_the_daemon_may_be_absent_and_restart(broker, folder, bridge) -> None:
    with broker.listen(f"{BASE}/#") as live:
        process = bridge(broker.port)
        live.value("/daemon", "offline")
        live.value("/status", "online")
        broker.publish(f"{BASE}/command/mute", "ON")
        process.wait_for_log("No daemon is running", "not carried out")
        with ScriptedDaemon(folder) as daemon:
            live.value("/daemon", "online")
            daemon.utterance(1)
            live.value("/utterance")
            daemon.publish(AudioState(state=CaptureState.MUTED, device="USB Mic"))
            live.value("/mute", "ON")
            daemon.stop()
            assert "closed the connection" in live.until(lambda m: "unavailable" in m.payload).data["reason"]
            live.value("/daemon", "offline")
            daemon.start()
            live.value("/daemon", "online")
            daemon.utterance(1)
            live.value("/utterance")
        live.value("/daemon", "offline")


def test_forget_removes_what_the_broker_keeps(broker, daemon, bridge) -> None:
    with broker.listen(f"{BASE}/#") as live:
        process = bridge(broker.port)
        live.value("/diagnostics")
        process.process.send_signal(signal.SIGINT)
        live.value("/status", "offline")
        assert process.wait() == 0
        assert bridge(broker.port, "--forget").wait() == 0
    assert retained(broker) == {}


def test_another_client_with_the_same_id_is_named(broker, daemon, bridge) -> None:
    first = bridge(broker.port)
    first.wait_for_log("Connected to the broker")
    second = bridge(broker.port)
    first.wait_for_log("another client has the id 'ser-test'", "--id")
    second.wait_for_log("Connected to the broker")
    assert first.process.poll() is None
    assert first.log.count("another client") == 1, "it is said once, and tried ever more slowly"


def test_a_wrong_password_ends_the_bridge_with_a_sentence(folder, daemon, bridge) -> None:
    reason = mosquitto.missing()
    if reason is not None:
        pytest.skip(reason)
    passwords = folder / "passwords"
    mosquitto.make_password(passwords, "ser", "right")
    wrong, right = folder / "wrong", folder / "right"
    for path in (wrong, right):
        path.write_text(path.name + "\n")
        path.chmod(0o600)
    with mosquitto.Broker(folder, f"password_file {passwords}", anonymous=False) as broker:
        for arguments, words in (
            (("--user", "ser", "--password-file", wrong), ("'ser'", "password_file")),
            ((), ("without a user", "user")),
        ):
            process = bridge(broker.port, *arguments)
            assert process.wait() == 2
            assert "Traceback" not in process.log
            assert [word for word in words if word not in process.log] == [], process.log
        good = bridge(broker.port, "--user", "ser", "--password-file", right)
        good.wait_for_log("Connected to the broker")
        assert "right" not in Path(f"/proc/{good.process.pid}/cmdline").read_text().replace(str(right), "")


def test_tls_with_client_certificates_and_what_does_not_fit(folder, daemon, bridge) -> None:
    reason = mosquitto.missing()
    if reason is not None:
        pytest.skip(reason)
    mosquitto.make_certificates(folder, "localhost", "elsewhere", "client")
    (folder / "other").mkdir()
    mosquitto.make_certificates(folder / "other", "client")
    settings = [f"cafile {folder}/ca.crt", "require_certificate true"]
    ours = ("--certificate", folder / "client.crt", "--key", folder / "client.key")

    def serve(name: str) -> mosquitto.Broker:
        return mosquitto.Broker(folder, *settings, f"certfile {folder}/{name}.crt", f"keyfile {folder}/{name}.key")

    with serve("localhost") as broker:
        good = bridge(broker.port, "--ca-file", folder / "ca.crt", *ours)
        good.wait_for_log("Connected to the broker")
        stranger = bridge(broker.port, "--ca-file", folder / "other" / "ca.crt", *ours)
        assert stranger.wait() == 2
        assert "certificate of the broker" in stranger.log
        assert "ca_file" in stranger.log
        # The broker refuses a certificate of another authority, and none at all.
        foreign = ("--certificate", folder / "other/client.crt", "--key", folder / "other/client.key")
        # Each gives up after ten seconds, so all of them at once. The last one does not speak TLS.
        started = [
            bridge(broker.port, *arguments)
            for arguments in (("--ca-file", folder / "ca.crt", *foreign), ("--ca-file", folder / "ca.crt"), ())
        ]
        for process in started:
            process.wait_for_log(f"localhost:{broker.port}", "Trying again")
            assert "Traceback" not in process.log
            process.close()
    with serve("elsewhere") as broker:
        process = bridge(broker.port, "--ca-file", folder / "ca.crt", *ours)
        assert process.wait() == 2
        assert "Hostname mismatch" in process.log


@pytest.mark.slow
def test_mute_by_mqtt_closes_the_device_of_a_real_daemon(broker, folder, bridge) -> None:
    with (
        virtual_microphone() as pulse,
        Daemon("--mic", "default", environment=pulse.environment, folder=folder) as daemon,
        broker.listen(f"{BASE}/#") as live,
    ):
        daemon.subscribe().until("audio-state:listening")
        pulse.wait_for_capture(1)
        bridge(broker.port)
        live.value("/mute", "OFF")
        broker.publish(f"{BASE}/command/mute", "ON")
        live.value("/mute", "ON")
        pulse.wait_for_capture(0)
        assert pulse.capture_streams() == 0
        broker.publish(f"{BASE}/command/mute", "OFF")
        live.value("/mute", "OFF")
        pulse.wait_for_capture(1)
