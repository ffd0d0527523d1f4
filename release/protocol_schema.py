"""Makes `docs/protocol.schema.json` from the classes of the protocol: `make schema`.

The schema describes the lines that this version of the daemon writes, and the requests that it reads
(JSON Schema 2020-12). Types, required fields and descriptions come from the event classes and their docstrings.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "model"), str(ROOT / "daemon")]

from ser_daemon.wire import events, protocol, status  # noqa: E402 - the packages need not be installed
from ser_daemon.wire.requests import MAX_HOLD_MS, MAX_TEXT  # noqa: E402
from ser_model.labels import LABELS, UNKNOWN  # noqa: E402

OUTPUT = ROOT / "docs" / "protocol.schema.json"

Schema = dict[str, Any]

COUNT: Schema = {"type": "integer", "minimum": 0}
LABEL: Schema = {"type": "string", "enum": list(LABELS)}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
AFFECT: Schema = {"type": "number", "minimum": -1, "maximum": 1}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}

VALUES: dict[str, Schema] = {
    "seq": COUNT,
    "dropped": {"type": "integer", "minimum": 1},
    "taught": {"type": "integer", "minimum": 1},
    "time": TIME,
    "label": {"type": "string", "enum": [*LABELS, UNKNOWN]},
    "reason": {"type": "string"},
    "top": LABEL,
    "confidence": SHARE,
    "scores": {"type": "object", "additionalProperties": SHARE},
    "arousal": AFFECT,
    "valence": AFFECT,
    "level": {"type": "string", "enum": ["high", "low", UNKNOWN]},
    "probability": SHARE,
    "latency_ms": {"type": "number", "minimum": 0},
    "adaptation": {"type": "string", "enum": ["none", "running", "profile", "taught"]},
    "labels": {"type": "array", "items": {"type": "string"}},
    "protocol": {"const": protocol.PROTOCOL},
    "retry_in_ms": COUNT,
    "start": COUNT,
    "end": COUNT,
    "timestamp": COUNT,
    "voiced_ms": COUNT,
}
"""What the values of a field are limited to, where its Python type says less."""

REASONS = ("low-confidence", "too-short", "unlike-speech")

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", Mapping: "object", dict: "object"}

_ABSENT = ("dropped", "taught")
"""Counts that are absent where they are 0 (`Event.data`)."""


def value_schema(name: str, hint: Any) -> Schema:
    """Describe the values of a field other than null."""
    parts = [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else [hint]
    kind = parts[0]
    if kind is events.Activation:
        return {"$ref": "#/$defs/activation"}
    if kind is protocol.CaptureState:
        return {"type": "string", "enum": [str(state) for state in protocol.CaptureState]}
    origin = get_origin(kind) or kind
    if origin in (tuple, Sequence):
        return {"type": "array", "items": {"type": "string"}}
    return VALUES.get(name, {"type": _JSON_TYPES[origin]})


def fields_schema(cls: type[Any], without: Sequence[str] = (), *, nullable: Sequence[str] | None = None) -> Schema:
    """Describe the object that a dataclass becomes; `nullable` None: every field that may be None may be null."""
    hints, texts = get_type_hints(cls), docstrings(cls)
    properties, required = {}, []
    for name in (field.name for field in fields(cls) if field.name not in without):
        optional = NoneType in get_args(hints[name])
        value = value_schema(name, hints[name])
        may_be_null = optional and (nullable is None or name in nullable)
        if may_be_null:
            value = {"anyOf": [value, {"type": "null"}]}
        properties[name] = {**value, "description": texts[name]} if name in texts else value
        if (may_be_null or not optional) and name not in _ABSENT:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def docstrings(cls: type[Any]) -> dict[str, str]:
    """Return the docstrings below the fields of a class and of its bases, as one line each."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    found[name] = " ".join(doc.replace("`", "").split())
    return found


def message(name: str, data: Schema | None, description: str, **beside: Schema) -> Schema:
    """Describe a line of a type; `data` None: it has no data, or any."""
    return {
        "description": description,
        "type": "object",
        "properties": {"type": {"const": name}, **beside, "data": data or {"type": "object"}},
        "required": ["type"] if data is None else ["type", *(key for key in beside if key == "version"), "data"],
    }


def event_schemas() -> dict[str, Schema]:
    """Describe every event."""
    found = {}
    for name, cls in events.EVENT_CLASSES.items():
        beside: dict[str, Schema] = {"version": {"type": "string"}} if cls is events.Hello else {}
        doc = " ".join((cls.__doc__ or "").replace("`", "").split())
        found[name] = message(name, fields_schema(cls, nullable=cls.nullable), doc, **beside)
    found["emotion"]["properties"]["data"] |= {
        "if": {"properties": {"label": {"const": UNKNOWN}}},
        "then": {"properties": {"reason": {"enum": list(REASONS)}}, "required": ["reason"]},
        "else": {"properties": {"reason": False, "top": False}},
    }
    return found


def answer_schemas() -> dict[str, Schema]:
    """Describe every answer."""
    reported = fields_schema(status.Status, without=["extra"])
    reported["properties"] = {"protocol": VALUES["protocol"], "seq": COUNT, **reported["properties"]}
    reported["required"] = ["protocol", "seq", *reported["required"]]
    reported["properties"]["labels"] = VALUES["labels"]
    verbs: Schema = {"type": "string", "enum": list(protocol.CONTROL_VERBS)}
    done: Schema = {"type": "object", "properties": {"request": verbs}, "required": ["request"]}
    error: Schema = {
        "type": "object",
        "properties": {"code": {"enum": list(get_args(protocol.ErrorCode))}, "text": {"type": "string"}},
        "required": ["code", "text"],
    }
    info: Schema = {"type": "object", "properties": {"ser": {"type": "array"}}, "required": ["ser"]}
    pong: Schema = {"type": "object", "properties": {"text": {"type": ["string", "null"]}}}
    chosen: Schema = {**filter_schema(), "required": ["events", "partial", "min_confidence"]}
    chosen["properties"] = {**chosen["properties"], "seq": COUNT}
    answers = {
        "status": (reported, "Answer to status."),
        "metrics": (metrics_schema(), "Answer to metrics: counters by name, and histograms where they were asked for."),
        "info": (info, "Answer to describe, as in Wyoming."),
        "pong": (pong, "Answer to ping."),
        "subscribed": (chosen, "Answer to subscribe: the filter, and the number of the last event."),
        "done": (done, "Answer to a control verb."),
        "error": (error, "A request, or the connection, was refused."),
    }
    return {name: message(name, data, text, id=id_schema()) for name, (data, text) in answers.items()}


def metrics_schema() -> Schema:
    """Describe the answer to `metrics`; names are added in later versions."""
    histogram: Schema = {
        "type": "object",
        "properties": {
            "bounds": {"type": "array", "items": {"type": "number"}},
            "counts": {"type": "array", "items": COUNT},
            "sum": {"type": "number"},
        },
        "required": ["bounds", "counts", "sum"],
    }
    return {
        "type": "object",
        "properties": {"id": id_schema(), "histograms": {"type": "object", "additionalProperties": histogram}},
        "additionalProperties": {"type": "number"},
    }


def request_schemas() -> dict[str, Schema]:
    """Describe every request."""
    text = {"type": "string"}
    data: dict[str, Schema] = {
        "subscribe": filter_schema(),
        "metrics": {"type": "object", "properties": {"histograms": {"type": "boolean"}}},
        "ping": {"type": "object", "properties": {"text": {**text, "maxLength": MAX_TEXT}}},
        "hold": {"type": "object", "properties": {"ms": {"type": "integer", "minimum": 1, "maximum": MAX_HOLD_MS}}},
        "label": {
            "type": "object",
            "properties": {"utterance_id": text, "label": LABEL},
            "required": ["utterance_id", "label"],
        },
        "taught": {"type": "object", "properties": {"start": COUNT}},
    }
    found = {}
    for name in (*protocol.QUERIES, *protocol.CONTROL_VERBS):
        found[name] = message(name, data.get(name), f"Request {name}.", id=id_schema())
        if name != "label":
            found[name]["required"] = ["type"]
    return found


def filter_schema() -> Schema:
    """Describe the filter of `subscribe`."""
    types = {"type": "array", "items": {"enum": list(events.PUBLISHED)}}
    return {
        "type": "object",
        "properties": {"events": types, "partial": {"type": "boolean"}, "min_confidence": SHARE},
    }


def id_schema() -> Schema:
    """Describe the number or text by which a client recognises an answer."""
    return {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 128}]}


def schema() -> Schema:
    """Describe a line that the daemon writes; `$defs/request` describes one that it reads."""
    written, requests = {**event_schemas(), **answer_schemas()}, request_schemas()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line that ser-daemon writes, protocol number {protocol.PROTOCOL}",
        "description": "Within one protocol number, fields and types are only ever added. Ignore those that you do not "
        "know. #/$defs/request describes the lines that a client sends. Made by release/protocol_schema.py.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in written],
        "$defs": {
            **written,
            "activation": {**fields_schema(events.Activation), "description": events.Activation.__doc__},
            "request": {"oneOf": [{"$ref": f"#/$defs/request-{name}"} for name in requests]},
            **{f"request-{name}": value for name, value in requests.items()},
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the schema, or print it."""
    parser = argparse.ArgumentParser(description="Make docs/protocol.schema.json.")
    parser.add_argument("--print", action="store_true", help="print it instead")
    text = json.dumps(schema(), indent=2) + "\n"
    if parser.parse_args(argv).print:
        print(text, end="")
    else:
        OUTPUT.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
