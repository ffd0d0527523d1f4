"""Requests of clients, and the answers to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from ser_daemon.wire.encoding import describe, encode
from ser_daemon.wire.framing import Message
from ser_daemon.wire.peer_log import log_failure
from ser_daemon.wire.protocol import CONTROL_VERBS, PROTOCOL, QUERIES, ErrorCode
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.request_fields import RequestError, parse_flag, parse_label, parse_start
from ser_daemon.wire.status import Status
from ser_model.errors import SerError

log = logging.getLogger(__name__)

MAX_TEXT = 1024
"""Longest text in characters that `ping` repeats, so that an answer always fits on a line."""

MAX_HOLD_MS = 3_600_000
"""An hour: an assistant that dies during a hold must not stop the daemon from listening for good."""


class ControlHandler(Protocol):
    """Carries out the control verbs.

    Each method may return a sentence for the client, and may raise `SerError` with one.
    """

    async def mute(self) -> str | None:
        """Close the microphone; it stays closed after a restart."""

    async def unmute(self) -> str | None:
        """Open the microphone again; return the state that this led to."""

    async def hold(self, ms: int | None) -> None:
        """Ignore the audio for `ms`, or until `release`."""

    async def release(self) -> str | None:
        """End a hold."""

    async def reload(self) -> str | None:
        """Read the settings again; return what changed."""

    async def reset_adaptation(self) -> str | None:
        """Forget what was learnt about microphone and voice; return what is in force."""

    async def label(self, utterance_id: str, label: str) -> Mapping[str, object]:
        """Correct the label of an utterance; return the data of the answer."""

    async def taught(self, start: int | None) -> Mapping[str, object]:
        """Return what was taught, or a page of the examples."""


class RequestHandler:
    """Answers requests, whatever connection they come from."""

    def __init__(
        self,
        publisher: Publisher,
        control: ControlHandler,
        status: Callable[[], Status],
        metrics: Callable[[], Mapping[str, float | int]],
        histograms: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._publisher = publisher
        self._control = control
        self._status = status
        self._metrics = metrics
        self._histograms = histograms

    def hello(self) -> bytes:
        """Return the first line of a connection."""
        data = self._status().hello(self._publisher.seq).data()
        # Last: there it is easy to find in a long line in a terminal.
        data["seq"] = data.pop("seq")
        return encode("hello", data, version="1.0")

    def answer(self, message: Message) -> bytes:
        """Answer a request that changes nothing."""
        match message.type:
            case "status":
                return encode_reply(message, "status", self._status().data(self._publisher.seq))
            case "metrics":
                # Not always: whoever reads every value as a number must be able to go on doing so.
                more = {"histograms": self._histograms()} if parse_flag(message, "histograms") else {}
                return encode_reply(message, "metrics", {**self._publisher.metrics, **self._metrics(), **more})
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
        """Carry out a control verb, then answer; failures become `error` lines."""
        try:
            return encode_reply(message, "done", {"request": message.type, **await self._execute(message)})
        except RequestError as error:
            return encode_error(error.code, str(error), message)
        except SerError as error:
            return encode_error("failed", str(error), message)
        except Exception as error:
            log_failure(log, message.type, error)
            return encode_error("failed", f"{message.type} failed; the daemon's log says why.", message)

    async def _execute(self, message: Message) -> Mapping[str, object]:
        text: str | None = None
        match message.type:
            case "mute":
                text = await self._control.mute()
            case "unmute":
                text = await self._control.unmute()
            case "release":
                text = await self._control.release()
            case "reload":
                text = await self._control.reload()
            case "reset-adaptation":
                text = await self._control.reset_adaptation()
            case "hold":
                ms = message.data.get("ms")
                if ms is not None and (type(ms) is not int or not 0 < ms <= MAX_HOLD_MS):
                    raise RequestError(
                        "bad-request", f"ms must be an integer from 1 to {MAX_HOLD_MS}, not {describe(ms)}."
                    )
                await self._control.hold(ms)
                return {"ms": ms}
            case "label":
                return await self._control.label(*parse_label(message, self._status().labels))
            case "taught":
                return await self._control.taught(parse_start(message))
        return {} if text is None else {"text": text}

    def _info(self) -> dict[str, object]:
        """Return the data of Wyoming's `info`, with the domain `ser` beside those that Wyoming defines."""
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


def encode_reply(message: Message, name: str, data: Mapping[str, object]) -> bytes:
    """Encode an answer. The id of the request is repeated where it was: beside `type`, or inside `data`."""
    beside = {} if message.id is None else {"id": message.id}
    inside = {"id": message.data["id"]} if message.data.get("id") is not None else {}
    return encode(name, {**inside, **data}, **beside)


def encode_error(code: ErrorCode, text: str, message: Message | None = None) -> bytes:
    """Encode an `error` line, in the form that Wyoming defines."""
    data = {"code": code, "text": text[:MAX_TEXT]}
    return encode("error", data) if message is None else encode_reply(message, "error", data)
