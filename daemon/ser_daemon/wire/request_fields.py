"""The fields of requests: read and checked, whatever a client sends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ser_daemon.wire.encoding import describe
from ser_daemon.wire.events import PUBLISHED
from ser_daemon.wire.framing import Message
from ser_daemon.wire.protocol import ErrorCode
from ser_daemon.wire.publisher import Filter
from ser_model.errors import SerError

MAX_ID = 128
"""Longest request id in characters."""

MAX_START = 1_000_000
"""Highest number of an example."""

_UTTERANCE = re.compile(r"last|u-[1-9][0-9]{0,17}")


class RequestError(SerError):
    """A valid line whose request can't be served."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def parse_filter(message: Message) -> Filter:
    """Read the filter of `subscribe`; a field that is absent means no restriction.

    Raises:
        RequestError: `bad-request`, naming the field.
    """
    data = message.data
    events = data.get("events")
    if events is None:
        events = list(PUBLISHED)
    if not isinstance(events, list) or not all(name in PUBLISHED for name in events):
        raise RequestError("bad-request", f"events must be a list out of {', '.join(PUBLISHED)}.")
    partial = data.get("partial", True)
    if not isinstance(partial, bool):
        raise RequestError("bad-request", f"partial must be true or false, not {describe(partial)}.")
    min_confidence = data.get("min_confidence", 0)
    if isinstance(min_confidence, bool) or not isinstance(min_confidence, int | float) or not 0 <= min_confidence <= 1:
        raise RequestError(
            "bad-request", f"min_confidence must be a number from 0 to 1, not {describe(min_confidence)}."
        )
    return Filter(tuple(events), partial, float(min_confidence))


def parse_label(message: Message, labels: Sequence[str]) -> tuple[str, str]:
    """Read the data of `label`: the name of the utterance and the label.

    Raises:
        RequestError: `bad-request`, naming the field.
    """
    _refuse_other_fields(message, ("utterance_id", "label"))
    utterance_id, label = message.data.get("utterance_id"), message.data.get("label")
    if not isinstance(utterance_id, str) or not _UTTERANCE.fullmatch(utterance_id):
        raise RequestError(
            "bad-request",
            f"utterance_id must be last, or as in the events, such as u-7; not {describe(utterance_id)}.",
        )
    if not isinstance(label, str) or label not in labels:
        raise RequestError("bad-request", f"label must be one of {', '.join(labels)}, not {describe(label)}.")
    return utterance_id, label


def parse_start(message: Message) -> int | None:
    """Read the data of `taught`: the number of the first example; None: no examples are wanted.

    Raises:
        RequestError: `bad-request`, naming the field.
    """
    _refuse_other_fields(message, ("start",))
    start = message.data.get("start")
    if start is not None and (type(start) is not int or not 0 <= start <= MAX_START):
        raise RequestError("bad-request", f"start must be an integer from 0 to {MAX_START}, not {describe(start)}.")
    return start


def parse_flag(message: Message, name: str) -> bool:
    """Read a field that is true or false; false where it is absent.

    Raises:
        RequestError: `bad-request`, naming the field.
    """
    value = message.data.get(name, False)
    if not isinstance(value, bool):
        raise RequestError("bad-request", f"{name} must be true or false, not {describe(value)}.")
    return value


def _refuse_other_fields(message: Message, known: Sequence[str]) -> None:
    # A correction that was meant otherwise stays: a field that is misspelt must not be ignored.
    for name in message.data:
        if name not in known and name != "id":
            raise RequestError(
                "bad-request", f"{message.type} has no field {describe(name)}; it has {' and '.join(known)}."
            )


def check_id(message: Message) -> None:
    """Refuse an id that can't be repeated in the answer.

    Raises:
        RequestError: `bad-id`.
    """
    for given in (message.id, message.data.get("id")):
        # The answer repeats both.
        if given is not None and (type(given) not in (int, str) or len(str(given)) > MAX_ID):
            raise RequestError("bad-id", f"id must be an integer or a string of at most {MAX_ID} characters.")
