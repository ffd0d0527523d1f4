"""The requests that `ser-ctl` sends: help, examples, and the answer in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ser_daemon.views.answers import describe_hold, describe_info, describe_metrics, describe_status, describe_taught
from ser_daemon.wire.event_reading import ProtocolError
from ser_model.printable import printable


def _done(sentence: str) -> Callable[[Mapping[str, Any]], str]:
    """Describe an answer by its own text, or by `sentence` where it has none."""
    return lambda answer: printable(str(answer.get("text") or sentence))


class Request(NamedTuple):
    """A request that can be named on the command line."""

    help: str
    describe: Callable[[Mapping[str, Any]], str]
    """Puts the answer into words."""
    examples: tuple[tuple[str, str], ...]


COMMANDS = {
    "status": Request(
        "what the daemon is doing",
        describe_status,
        (("ser-ctl status --json | jq -r .state", "one word for a script: listening, muted, no-device, ..."),),
    ),
    "mute": Request(
        "close the microphone, also after a restart",
        _done("Muted: the microphone is closed."),
        (("ser-ctl mute", "until ser-ctl unmute"),),
    ),
    "unmute": Request(
        "open the microphone again", _done("Unmuted: the microphone is open again."), (("ser-ctl unmute", ""),)
    ),
    "hold": Request(
        "ignore what is heard (the assistant is talking itself); the microphone stays open",
        describe_hold,
        (("ser-ctl hold 5s", "for five seconds"), ("ser-ctl hold 500", "for 500 milliseconds")),
    ),
    "release": Request("end a hold", _done("Released: listening again."), (("ser-ctl release", ""),)),
    "reload": Request(
        "read the settings again; keeps the old ones and says why if they are wrong",
        _done("Done."),
        (("ser-ctl reload", "after config.yaml was edited"),),
    ),
    "reset-adaptation": Request(
        "forget what was learnt about microphone and voice",
        _done("Done."),
        (("ser-ctl reset-adaptation", "after somebody else took the place"),),
    ),
    "label": Request(
        "correct the label of an utterance, so that later answers are taught by it",
        _done("Done."),
        (("ser-ctl label last happy", "the latest utterance was happy"), ("ser-ctl label u-7 neutral", "")),
    ),
    "taught": Request(
        "what the voice was taught by: its profile, and corrections",
        describe_taught,
        (("ser-ctl taught --export taught.json", "keep a copy of all numbers"),),
    ),
    "metrics": Request("counters", describe_metrics, (("watch -n1 ser-ctl metrics", "how they grow"),)),
    "ping": Request(
        "ask for a sign of life",
        lambda answer: "The daemon answers.",
        (("ser-ctl ping --timeout 500ms", "exit status 0 if it answers in time"),),
    ),
    "describe": Request("which model and which labels", describe_info, (("ser-ctl describe", ""),)),
}


def describe_answer(command: str, answer: Mapping[str, Any]) -> str:
    """Put the answer to a request into words.

    Raises:
        ProtocolError: it is not what a daemon answers.
    """
    try:
        return COMMANDS[command].describe(answer)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        raise ProtocolError(
            f"The answer to {command!r} is not one of ser-daemon's; does another program listen? --json shows it."
        ) from None
