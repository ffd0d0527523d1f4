"""The scenarios of `make torture` and its tests. Each is a function that returns measured figures."""

from __future__ import annotations

from collections.abc import Callable

from support.torture import attack, crowd, endurance, faults, microphone, output, stalls
from support.torture.measure import Check, Unavailable

__all__ = ["SCENARIOS", "Check", "Scenario", "Unavailable"]

Scenario = Callable[[bool], list[Check]]
"""Runs a scenario, in its short form if the argument is true."""

SCENARIOS: dict[str, Scenario] = {
    "unplugged": microphone.unplugged_in_silence,
    "unplugged-speaking": microphone.unplugged_mid_utterance,
    "unplugged-ten-times": microphone.unplugged_ten_times,
    "server-killed": microphone.server_killed,
    "server-late": microphone.server_late,
    "default-changed": microphone.default_changed,
    "preferred-returns": microphone.preferred_returns,
    "daemon-stopped": stalls.daemon_stopped,
    "server-stopped": stalls.server_stopped,
    "hangs-in-c": faults.hangs_in_c,
    "hangs-muted": faults.hangs_and_is_muted,
    "thread-raises": faults.thread_raises,
    "muted-restart": faults.muted_over_a_restart,
    "formats": microphone.formats,
    "silent": microphone.silent,
    "terminal-closed": output.terminal_closed,
    "output-unread": output.output_unread,
    "reload-hangs": output.reload_hangs,
    "clients": crowd.abusive_clients,
    "hostile-clients": attack.hostile_clients_at_once,
    "answers-unread": attack.answers_unread,
    "out-of-descriptors": attack.out_of_descriptors,
    "state-directory": faults.state_directory,
    "hours": endurance.hours,
}
"""Scenarios by name, in the order of docs/reliability.md."""
