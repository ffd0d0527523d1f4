"""Profiles are read strictly, belong to one device, and do not override configured values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ser_daemon.config.loading import Config, ConfigError, load_config
from ser_daemon.config.profiles import (
    MicrophoneProfile,
    ProfileMessage,
    gate_with_profile,
    profile_file_name,
    profile_folders,
    read_profile,
    write_profile,
)
from ser_model.types import SAMPLE_RATE
from support.daemon import Daemon, wait_for

PROFILE = MicrophoneProfile(
    device='USB "Mïc": 1',
    measured="2026-11-22T08:44:01Z",
    noise_floor_dbfs=-61.5,
    gain_db=12.0,
    speech_level_dbfs=-30.5,
    snr_db=31.0,
)


def config_for(device: str, **overrides: object) -> Config:
    keys = {"audio.device": device} | {name.replace("__", "."): value for name, value in overrides.items()}
    return load_config(environ={}, overrides=keys, default_files=[])


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "profiles" / profile_file_name(PROFILE.device)
    write_profile(PROFILE, path)
    assert path.name == "usb-m-c-1.yaml"
    assert read_profile(path) == PROFILE
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_the_profile_of_the_opened_device_sets_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "any name.yaml"
    write_profile(PROFILE, path)
    gate, notes = gate_with_profile(config_for("default"), PROFILE.device, [tmp_path])
    assert (gate.noise_floor_dbfs, gate.gain_db) == (-61.5, 12.0)
    assert notes == [ProfileMessage(f"Microphone's profile used: {path}", warning=False)]


def test_configured_values_override_measured_ones(tmp_path: Path) -> None:
    write_profile(PROFILE, tmp_path / "p.yaml")
    config = config_for("default", gate__gain_db=3.0)
    gate, _ = gate_with_profile(config, PROFILE.device, [tmp_path])
    assert (gate.noise_floor_dbfs, gate.gain_db) == (-61.5, 3.0)


def test_a_profile_of_another_device_is_ignored_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    write_profile(PROFILE, path)
    config = config_for("default")
    gate, notes = gate_with_profile(config, "Headset", [tmp_path])
    assert gate == config.gate
    expected = f'{path}: device: expected "Headset" or "default", got "{PROFILE.device}"'
    assert notes == [ProfileMessage(f"Microphone's profile ignored: {expected}", warning=True)]


def test_with_a_matching_profile_only_broken_ones_cause_a_warning(tmp_path: Path) -> None:
    write_profile(PROFILE, tmp_path / "good.yaml")
    write_profile(dataclasses.replace(PROFILE, device="USB Mic"), tmp_path / "other.yaml")
    (tmp_path / "empty.yml").touch()
    (tmp_path / "folder.yaml").mkdir()
    gate, notes = gate_with_profile(config_for("default"), PROFILE.device, [tmp_path])
    assert gate.gain_db == PROFILE.gain_db
    assert [note.warning for note in notes] == [True, False]
    assert "folder.yaml: cannot read this file: it is a folder, no file" in notes[0].text
    assert "empty.yml: format: missing" in notes[0].text
    assert "other.yaml" not in notes[0].text


def test_a_warning_names_few_of_many_profiles(tmp_path: Path) -> None:
    for number in range(7):
        write_profile(PROFILE, tmp_path / f"{number}.yaml")
    _, notes = gate_with_profile(config_for("default"), "Headset", [tmp_path])
    assert len(notes) == 1
    assert notes[0].text.endswith("; and 2 more")


def test_a_daemon_warns_once_at_start_and_once_per_reload(tmp_path: Path) -> None:
    path = tmp_path / "config" / "ser-daemon" / "profiles" / "p.yaml"
    write_profile(PROFILE, path)
    with Daemon("--mic", "stdin", "--rate", "16000", feed=True, folder=tmp_path) as daemon:
        control = daemon.controller()
        daemon.write(np.zeros(SAMPLE_RATE, np.int16))
        wait_for(lambda: bool(control.request("status")["data"]["state"] == "listening"))
        came = f'{path}: device: expected "stdin", got "{PROFILE.device}"'
        ignored = f"WARNING Microphone's profile ignored: {came}"
        # The log is written by a thread of its own.
        wait_for(lambda: [line.partition(" ")[2] for line in daemon.stderr.splitlines()] == [ignored])
        path.write_text(path.read_text().replace("gain_db: 12.0", "gain_db: loud"))
        control.request("reload")
        came = f'{path}:6: gain_db: expected a number from -10 to 40 (decibels), got "loud"'
        second = f"WARNING Microphone's profile ignored: {came}"
        wait_for(lambda: [line.partition(" ")[2] for line in daemon.stderr.splitlines()] == [ignored, second])
        write_profile(dataclasses.replace(PROFILE, device="stdin"), path)
        control.request("reload")
        daemon.end_of_input()
        assert daemon.wait() == 0
        assert daemon.stderr.count("ignored") == 2


def test_a_file_is_processed_without_a_microphones_profile(tmp_path: Path) -> None:
    write_profile(PROFILE, tmp_path / "p.yaml")
    config = config_for("file:x.wav")
    assert gate_with_profile(config, PROFILE.device, [tmp_path]) == (config.gate, [])


def test_user_profiles_precede_system_ones_and_newer_ones_precede_older_ones(tmp_path: Path) -> None:
    for folder, day, gain in (("user", "20", 1.0), ("user", "21", 2.0), ("system", "22", 3.0)):
        values = {name: getattr(PROFILE, name) for name in PROFILE.__slots__}
        values |= {"measured": f"2026-11-{day}T00:00:00Z", "gain_db": gain}
        write_profile(MicrophoneProfile(**values), tmp_path / folder / f"{day}.yaml")
    gate, _ = gate_with_profile(config_for("x"), PROFILE.device, [tmp_path / "user", tmp_path / "system"])
    assert gate.gain_db == 2.0


def test_the_folders_are_beside_the_config_files() -> None:
    assert profile_folders({"HOME": "/home/ada"}) == [
        Path("/home/ada/.config/ser-daemon/profiles"),
        Path("/etc/ser-daemon/profiles"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "gain_db: 12.0",
            "gain_db: loud",
            ':6: gain_db: expected a number from -10 to 40 (decibels), got "loud"',
        ),
        (
            "gain_db: 12.0",
            "gain_db: 300",
            ":6: gain_db: expected a number from -10 to 40 (decibels), got 300",
        ),
        ("gain_db: 12.0", "gain: 12.0", ':6: gain: unknown key; did you mean "gain_db"?'),
        ("gain_db: 12.0\n", "", ": gain_db: missing; make the profile anew with ser-calibrate mic"),
        ("format: 1", "format: 2", ":2: format: expected 1, got 2, which is a newer ser-calibrate's"),
        ("format: 1", "new: 1\nformat: 2", ":3: format: expected 1, got 2, which is a newer ser-calibrate's"),
        (
            "gain_db: 12.0",
            "gain_db: 12.0\ngain_db: 1.0",
            ":7: gain_db: set a second time, first in {path}:6; keep one",
        ),
    ],
)
def test_a_broken_profile_is_an_error_but_does_not_stop_the_daemon(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.yaml"
    write_profile(PROFILE, path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_profile(path)
    assert str(caught.value) == f"{path}{message.replace('{path}', str(path))}"
    config = config_for("default")
    gate, notes = gate_with_profile(config, PROFILE.device, [tmp_path])
    assert gate == config.gate
    assert notes == [ProfileMessage(f"Microphone's profile ignored: {caught.value}", warning=True)]


def test_a_profile_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match=r"cannot write this profile: .*; choose another with --output"):
        write_profile(PROFILE, blocked / "p.yaml")
    folder = tmp_path / "taken.yaml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        write_profile(PROFILE, folder)
    assert sorted(tmp_path.iterdir()) == [blocked, folder]
