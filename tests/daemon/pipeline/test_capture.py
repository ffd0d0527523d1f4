"""The capture loop on virtual time: what devices do to it, and what it tells."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from ser_daemon.sources.base import DeviceBusy, DeviceLost, NoSuchDevice
from ser_daemon.wire.events import AudioState
from ser_model.types import SpeechAudio, SpeechEnded, SpeechStarted
from support.scripted import Scene, ScriptedGate, ScriptedSource, story

SECOND = 16_000


def test_speech_is_framed_by_its_start_and_its_end_at_its_true_place() -> None:
    scene = Scene()
    scene.say(1.0, 2.0)
    items = scene.run(4)
    assert story(items) == ["listening", "+1", "-1 silence"]
    started = next(item for item in items if isinstance(item, SpeechStarted))
    assert started.onset == pytest.approx(1.0 * SECOND, abs=0.11 * SECOND)


def test_mute_closes_the_device_and_ends_the_open_utterance_before_the_state_changes() -> None:
    scene = Scene()
    scene.say(1.0, 9.0)
    scene.at(2.0, scene.capture.mute)
    items = scene.run(5)
    assert story(items) == ["listening", "+1", "-1 closed", "muted"]
    assert scene.source.closed == [pytest.approx(2.0, abs=0.11)]
    assert not scene.source.is_open


def test_unmute_opens_it_again_and_the_clock_has_gone_on() -> None:
    scene = Scene()
    scene.say(1.0, 20.0)
    scene.at(2.0, scene.capture.mute)
    scene.at(7.0, scene.capture.unmute)
    items = scene.run(8)
    assert story(items) == [
        "listening",
        "+1",
        "-1 closed",
        "muted",
        "starting",
        "+2",
        "listening",
        "-2 closed",
    ]
    assert len(scene.source.opened) == 2
    second = [item for item in items if isinstance(item, SpeechStarted)][1]
    assert second.onset == pytest.approx(7.0 * SECOND, abs=0.2 * SECOND)


def test_started_muted_it_never_touches_the_device() -> None:
    scene = Scene(muted=True)
    assert story(scene.run(5)) == ["muted"]
    assert scene.source.opened == []


def test_commands_are_carried_out_within_one_read() -> None:
    scene = Scene()
    done: list[float] = []
    scene.at(1.03, lambda: scene.capture.mute().add_done_callback(lambda _: done.append(scene.world.now)))
    scene.at(3.33, lambda: scene.capture.unmute().add_done_callback(lambda _: done.append(scene.world.now)))
    scene.run(5)
    assert done == [pytest.approx(1.03, abs=0.11), pytest.approx(3.33, abs=0.001)]


def test_hold_keeps_the_device_open_and_hears_nothing_until_release() -> None:
    scene = Scene()
    scene.say(1.0, 9.0)
    scene.at(2.0, lambda: scene.capture.hold(None))
    scene.at(5.0, scene.capture.release)
    items = scene.run(6)
    assert story(items) == ["listening", "+1", "-1 closed", "held", "listening", "+2", "-2 closed"]
    assert len(scene.source.opened) == 1
    second = [item for item in items if isinstance(item, SpeechStarted)][1]
    assert second.onset == pytest.approx(5.0 * SECOND, abs=0.2 * SECOND)
    after = next(block for block in scene.gate.blocks if block.start >= 5.0 * SECOND - 1)
    assert after.lost == pytest.approx(3.0 * SECOND, abs=0.2 * SECOND)


def test_a_hold_with_a_duration_ends_by_itself() -> None:
    scene = Scene()
    scene.at(1.0, lambda: scene.capture.hold(700))
    scene.say(1.2, 4.0)
    items = scene.run(5)
    assert story(items) == ["listening", "held", "+1", "listening", "-1 silence"]
    started = next(item for item in items if isinstance(item, SpeechStarted))
    assert started.onset == pytest.approx(1.7 * SECOND, abs=0.2 * SECOND)


def test_a_lost_device_is_a_state_and_is_opened_again_when_it_comes_back() -> None:
    scene = Scene()
    gone = DeviceLost("The device 'mic' is gone.")
    scene.say(1.0, 20.0)

    def unplug() -> None:
        scene.source.read_error = scene.source.open_error = gone

    def replug() -> None:
        scene.source.read_error = scene.source.open_error = None

    scene.at(2.0, unplug)
    scene.at(6.0, replug)
    items = scene.run(12)
    assert story(items) == [
        "listening",
        "+1",
        "-1 closed",
        *["no-device"] * 4,
        "+2",
        "listening",
        "-2 closed",
    ]
    states = [item for item in items if isinstance(item, AudioState) and item.state == "no-device"]
    assert [state.retry_in_ms for state in states] == [500, 1000, 2000, 4000]
    assert {state.reason for state in states} == {str(gone)}
    assert scene.capture.snapshot.reopened == 1
    second = [item for item in items if isinstance(item, SpeechStarted)][1]
    assert second.onset == pytest.approx(scene.source.opened[-1] * SECOND, abs=0.2 * SECOND)


def test_the_wait_for_a_missing_device_grows_to_half_a_minute_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.source.open_error = NoSuchDevice("There is no device 'mic'.")
    with caplog.at_level(logging.INFO):
        scene.run(300)
    waits = [later - earlier for earlier, later in pairwise(scene.source.opened)]
    assert waits[:6] == pytest.approx([0.5, 1, 2, 4, 8, 16])
    assert waits[6:] == pytest.approx([30] * len(waits[6:]))
    assert len([record for record in caplog.records if "no-device" in record.message]) == 1


def test_a_device_that_arrives_is_opened_without_waiting_for_the_next_attempt() -> None:
    scene = Scene()
    scene.source.open_error = NoSuchDevice("There is no device 'mic'.")

    def plug_in() -> None:
        scene.source.open_error = None
        scene.arrivals.append(True)

    scene.at(100.2, plug_in)
    assert story(scene.run(110))[-1] == "listening"
    # The attempts are half a minute apart by then.
    assert scene.source.opened[-1] == pytest.approx(100.2, abs=0.51)


def test_an_arrival_that_does_not_help_starts_the_waits_anew_from_one_second() -> None:
    scene = Scene()
    scene.source.open_error = NoSuchDevice("There is no device 'mic'.")
    scene.at(100.2, lambda: scene.arrivals.append(True))
    scene.run(110)
    after = [opened for opened in scene.source.opened if opened > 100]
    assert [later - earlier for earlier, later in pairwise(after)] == pytest.approx([1, 2, 4])


def test_a_device_that_opens_but_fails_at_once_is_not_tried_without_pause() -> None:
    scene = Scene()
    scene.source.read_error = DeviceLost("The device 'mic' is gone.")
    scene.run(60)
    assert len(scene.source.opened) <= 8


def test_in_a_terminal_a_device_that_cannot_be_opened_at_the_start_is_an_error() -> None:
    scene = Scene(patient=False)
    scene.source.open_error = DeviceBusy("The device 'mic' is in use.")
    with pytest.raises(DeviceBusy, match="in use"):
        scene.run(5)


def test_in_a_terminal_too_a_device_that_worked_before_is_waited_for() -> None:
    scene = Scene(patient=False)
    scene.at(1.0, lambda: setattr(scene.source, "read_error", DeviceLost("gone")))
    scene.at(1.0, lambda: setattr(scene.source, "open_error", DeviceLost("gone")))
    assert story(scene.run(5))[:2] == ["listening", "no-device"]


def test_a_device_that_answers_without_audio_is_lost_after_the_frame_deadline() -> None:
    scene = Scene()
    scene.at(1.0, lambda: setattr(scene.source, "mute_frames", True))
    scene.at(2.9, lambda: setattr(scene.source, "mute_frames", False))
    items = scene.run(6)
    assert story(items) == ["listening", "no-device", "listening"]
    assert scene.source.closed[0] == pytest.approx(2.6, abs=0.2)


def test_an_overflow_becomes_a_gap_and_ends_the_open_utterance() -> None:
    scene = Scene()
    scene.say(1.0, 4.0)

    def overflow() -> None:
        scene.world.now += 0.5
        scene.source.overflow = True

    scene.at(2.0, overflow)
    items = scene.run(6)
    assert story(items) == ["listening", "+1", "-1 gap", "+2", "-2 silence"]
    first_end = next(item for item in items if isinstance(item, SpeechEnded))
    second = [item for item in items if isinstance(item, SpeechStarted)][1]
    assert second.onset - first_end.offset == pytest.approx(0.5 * SECOND, abs=10)
    assert scene.capture.snapshot.overflows == 1


def test_overflows_that_do_not_stop_are_the_state_degraded_until_they_do() -> None:
    scene = Scene()
    for i in range(4):
        scene.at(5 + i, lambda: setattr(scene.source, "overflow", True))
    items = scene.run(40)
    assert story(items) == ["listening", "degraded", "listening"]


def test_a_minute_of_digital_zeros_is_the_state_silent_until_a_sound_comes() -> None:
    scene = Scene()
    scene.say(70.0, 71.0)
    items = scene.run(80)
    assert story(items) == ["listening", "silent", "+1", "listening", "-1 silence"]


def test_silence_in_a_file_is_not_a_broken_microphone() -> None:
    scene = Scene(live=False)
    assert story(scene.run(100)) == ["listening"]


def test_the_end_of_a_file_ends_its_utterance_and_the_loop() -> None:
    scene = Scene(live=False)
    scene.say(1.0, 9.0)
    scene.source.ends_at = 3.0
    items = scene.run(100)
    assert story(items) == ["listening", "+1", "-1 closed"]
    heard = sum(len(item.samples) for item in items if isinstance(item, SpeechAudio))
    assert heard == sum(len(block.samples) for block in scene.gate.blocks if block.samples.any())
    assert heard >= 2 * SECOND
    assert not scene.source.is_open


def test_a_muted_file_is_read_on_unheard_so_that_positions_stay_true() -> None:
    scene = Scene(live=False)
    scene.say(0.5, 9.0)
    scene.at(1.0, scene.capture.mute)
    scene.at(3.0, scene.capture.unmute)
    items = scene.run(4)
    assert story(items) == ["listening", "+1", "-1 closed", "muted", "listening", "+2", "-2 closed"]
    assert len(scene.source.opened) == 1
    second = [item for item in items if isinstance(item, SpeechStarted)][1]
    assert second.onset == pytest.approx(3.0 * SECOND, abs=0.2 * SECOND)


def test_a_reloaded_gate_goes_on_counting_utterances() -> None:
    scene = Scene()
    scene.say(1.0, 3.0)
    scene.at(2.0, lambda: scene.reconfigure(gate=ScriptedGate()))
    items = scene.run(5)
    assert story(items) == ["listening", "+1", "-1 closed", "+2", "-2 silence"]
    assert {item.utterance for item in items if isinstance(item, SpeechAudio)} == {1, 2}


def test_a_state_is_reported_again_also_where_it_is_starting() -> None:
    scene = Scene()
    scene.say(0.0, 9.0)
    scene.at(1.0, scene.capture.mute)
    scene.at(1.2, scene.capture.report_state_again)
    scene.at(1.4, scene.capture.unmute)
    assert story(scene.run(2))[-5:] == ["muted", "starting", "+2", "listening", "-2 closed"]


def test_a_reload_can_bring_another_device() -> None:
    scene = Scene()
    other = ScriptedSource(scene.world, name="other mic")
    scene.at(2.0, lambda: scene.reconfigure(source=other))
    items = scene.run(5)
    assert [item.device for item in items if isinstance(item, AudioState)] == ["mic", "other mic"]
    assert not scene.source.is_open
    assert len(other.opened) == 1


def test_stop_ends_the_utterance_closes_the_device_and_the_queue() -> None:
    scene = Scene()
    scene.say(1.0, 9.0)
    assert story(scene.run(2)) == ["listening", "+1", "-1 closed"]
    assert not scene.source.is_open
    assert scene.queue.get() is None


@pytest.mark.parametrize("state", ["listening", "muted", "no-device"])
def test_the_loop_comes_round_in_every_state(state: str) -> None:
    scene = Scene(muted=state == "muted")
    if state == "no-device":
        scene.source.open_error = NoSuchDevice("none")
    rounds: list[int] = []
    for i in range(10, 60):
        scene.at(i, lambda: rounds.append(scene.capture.progress))
    scene.run(61)
    assert all(later > earlier for earlier, later in pairwise(rounds))
