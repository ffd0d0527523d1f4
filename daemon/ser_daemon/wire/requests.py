"""What the daemon answers to which request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from ser_daemon.wire.events import PUBLISHED
from ser_daemon.wire.framing import Message, encode
from ser_daemon.wire.protocol import CONTROL_VERBS, PROTOCOL, QUERIES
from ser_daemon.wire.publisher import Filter, Publisher
from ser_daemon.wire.status import Status
from ser_model.errors import SerError

log = logging.getLogger(__name__)

MAX_TEXT = 1024
"""Longest text in characters that `ping` gives back, so that an answer always fits on a line."""

MAX_ID = 128
MAX_HOLD_MS = 3_600_000
"""An hour: an assistant that died while holding must not leave the daemon deaf for good."""


class ControlHandler(Protocol):
    """What the control verbs do. Each may raise `SerError` with a sentence for the one who asked."""

    async def mute(self) -> None:
        """Close the microphone; survives a restart."""

    async def unmute(self) -> None:
        """Open the microphone again."""

    async def hold(self, ms: int | None) -> None:
        """Ignore what is heard for `ms`, or until `release`."""

    async def release(self) -> None:
        """End a hold."""

    async def reload(self) -> str:
        """Read the settings again; return what changed, in one sentence."""
        ...

    async def reset_adaptation(self) -> str:
        """Forget what was learnt about microphone and voice; return what is in force, in one sentence."""
        ...


class RequestError(SerError):
    """A request that was understood as a line but can't be served."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class RequestHandler:
    """Answers requests; knows nothing of connections."""

    def __init__(
        self,
        publisher: Publisher,
        control: ControlHandler,
        status: Callable[[], Status],
        metrics: Callable[[], Mapping[str, float | int]],
    ) -> None:
        self._publisher = publisher
        self._control = control
        self._status = status
        self._metrics = metrics

    def hello(self) -> bytes:
        """Return the first line of a connection."""
        data = self._status().hello(self._publisher.seq).data()
        # Last, where people look for it in a line that a terminal wraps.
        data["seq"] = data.pop("seq")
        return encode("hello", data, version="1.0")

    def answer(self, message: Message) -> bytes:
        """Answer a request that changes nothing."""
        match message.type:
            case "status":
                return encode_reply(message, "status", self._status().data(self._publisher.seq))
            case "metrics":
                return encode_reply(message, "metrics", {**self._publisher.metrics, **self._metrics()})
            case "describe":
                return encode_reply(message, "info", self._info())
            case "ping":
                text = message.data.get("text")
                if text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT):
                    raise RequestError("bad-request", f"text must be at most {MAX_TEXT} characters.")
                return encode_reply(message, "pong", {"text": text})
        raise RequestError(
            "unknown-type",
            f"{message.type!r:.60} is not a request; there are {', '.join(QUERIES + CONTROL_VERBS)}.",
        )

    async def control(self, message: Message) -> bytes:
        """Do what a control verb asks, then answer; failures become `error` lines."""
        try:
            return encode_reply(message, "done", {"request": message.type, **await self._do(message)})
        except SerError as error:
            return encode_error(getattr(error, "code", "failed"), str(error), message)
        except Exception:
            log.exception("%s failed", message.type)
            return encode_error("failed", f"{message.type} failed; the daemon's log says why.", message)

    async def _do(self, message: Message) -> dict[str, object]:
        match message.type:
            case "mute":
                await self._control.mute()
            case "unmute":
                await self._control.unmute()
            case "release":
                await self._control.release()
            case "reload":
                return {"text": await self._control.reload()}
            case "reset-adaptation":
                return {"text": await self._control.reset_adaptation()}
            case "hold":
                ms = message.data.get("ms")
                if ms is not None and (type(ms) is not int or not 0 < ms <= MAX_HOLD_MS):
                    raise RequestError("bad-request", f"ms must be an integer from 1 to {MAX_HOLD_MS}, not {ms!r:.40}.")
                await self._control.hold(ms)
                return {"ms": ms}
        return {}

    def _info(self) -> dict[str, object]:
        """Answer as Wyoming's `info`, with a domain of our own beside the ones that Wyoming knows."""
        status = self._status()
        attribution = {"name": "ser-daemon", "url": ""}
        common = {"attribution": attribution, "installed": True, "version": status.version}
        return {
            **{domain: [] for domain in ("asr", "tts", "handle", "intent", "wake", "mic", "snd")},
            "ser": [
                {
                    "name": "ser-daemon",
                    "description": "Tells how something was said",
                    **common,
                    "protocol": PROTOCOL,
                    "models": [{"name": status.model, "labels": status.labels, **common}],
                }
            ],
        }


def parse_filter(message: Message) -> Filter:
    """Read what `subscribe` asks for; everything where it says nothing.

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
        raise RequestError("bad-request", f"partial must be true or false, not {partial!r:.40}.")
    least = data.get("min_confidence", 0)
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise RequestError("bad-request", f"min_confidence must be a number from 0 to 1, not {least!r:.40}.")
    return Filter(tuple(events), partial, float(least))


def check_id(message: Message) -> None:
    """Refuse an id that could not be repeated.

    Raises:
        RequestError: `bad-id`.
    """
    given = message.id if message.id is not None else message.data.get("id")
    if given is None or (type(given) in (int, str) and len(str(given)) <= MAX_ID):
        return
    raise RequestError("bad-id", f"id must be an integer or a string of at most {MAX_ID} characters.")


def encode_reply(message: Message, name: str, data: Mapping[str, object]) -> bytes:
    """Encode an answer with the request's id where the request had it: beside `type`, or inside `data`."""
    beside = {} if message.id is None else {"id": message.id}
    inside = {"id": message.data["id"]} if message.data.get("id") is not None else {}
    return encode(name, {**inside, **data}, **beside)


def encode_error(code: str, text: str, message: Message | None = None) -> bytes:
    """Encode an `error` line (Wyoming's, with its code)."""
    data = {"code": code, "text": text[:MAX_TEXT]}
    return encode("error", data) if message is None else encode_reply(message, "error", data)
