"""Every line that a daemon sends to a test is of the protocol, as `docs/protocol.schema.json` describes it."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from ser_daemon.wire.events import EVENT_CLASSES

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs/protocol.schema.json").read_text())


checked: Counter[str] = Counter()
"""Lines that this process has checked, by type."""


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with no other fields in events than those it names."""
    strict = copy.deepcopy(schema)
    for name in EVENT_CLASSES:
        strict["$defs"][name]["additionalProperties"] = False
        strict["$defs"][name]["properties"]["data"]["additionalProperties"] = False
    return strict


@cache
def _validators() -> dict[str, Any]:
    """A validator for each type of line: four times as fast as trying all; none without jsonschema."""
    if importlib.util.find_spec("jsonschema") is None:
        return {}
    from jsonschema import Draft202012Validator

    schema = closed(SCHEMA)
    names = [one["$ref"].rpartition("/")[2] for one in schema.pop("oneOf")]
    return {name: Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"}) for name in names}


def check_line(message: dict[str, Any]) -> None:
    """Fail if a line is not of the protocol. Does nothing where jsonschema is not installed."""
    validators = _validators()
    if not validators:
        return
    assert message.get("type") in validators, f"no line of the protocol: {message}"
    errors = [f"{error.json_path}: {error.message}" for error in validators[message["type"]].iter_errors(message)]
    checked[message["type"]] += 1
    assert not errors, f"not as docs/protocol.schema.json says: {errors}: {message}"
