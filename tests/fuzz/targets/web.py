"""`ser-web`: messages of its WebSocket, and the headers by which a browser names it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from fuzz.invariants import check_sentence, require
from fuzz.strategies import odd_texts, scalars, to_json, to_text, values
from fuzz.target import register
from ser_bridges.web.access import host_allowed, host_name, is_address, origin_allowed, same_token
from ser_bridges.web.requests import COMMANDS, QUERIES, BadRequest, read_request
from ser_model.errors import SerError

requests = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(sorted(QUERIES | COMMANDS)) | odd_texts},
        optional={
            "id": scalars,
            "data": st.dictionaries(st.sampled_from(["ms", "id", "verb", "events"]) | odd_texts, values, max_size=3),
            "data_length": scalars,
            "payload_length": scalars,
        },
    ),
    values,
)


@register("web-request", st.tuples(requests, st.booleans()), quick=200, seconds=2.0)
def check_request(example: tuple[Any, bool]) -> None:
    """A message becomes one line without framing that the daemon takes for the same request, or gets a sentence."""
    message, read_only = example
    try:
        request = read_request(to_json(message), read_only=read_only)
    except BadRequest as error:
        answer = json.loads(error.line)
        require(answer["type"] == "error" and b"\n" not in error.line, "no answer", repr(error.line))
        check_sentence(SerError(answer["data"]["text"]))
        return
    require(b"\n" not in request.line, "two lines", repr(request.line))
    passed = json.loads(request.line)
    require(set(passed) <= {"type", "id", "data"}, "framing", repr(request.line))
    require(passed["type"] in QUERIES | COMMANDS, "passed on what is not allowed", repr(passed["type"]))
    if passed["type"] in COMMANDS:
        require(not read_only and set(request.data) <= {"ms"}, "a control verb with more than its time", repr(request))


hosts = st.one_of(
    odd_texts,
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "a@", "//", "[", "x."]),
        st.sampled_from(["localhost", "127.0.0.1", "::1", "[::1]", "evil.example", "kitchen.local", "0x7f.1"]),
        st.sampled_from(["", ":80", ":", "/", "#", ".", ":x", "]", "?", "%00"]),
    ),
)


@register("web-host", st.tuples(hosts, odd_texts | hosts, odd_texts), quick=200, seconds=2.0)
def check_host(example: tuple[Any, Any, Any]) -> None:
    """A host is allowed only as an address or a name that is known, and an origin only as this host."""
    host, origin, token = map(to_text, example)
    name = host_name(host)
    if host_allowed(host, {"kitchen.local"}):
        require(name in ("localhost", "kitchen.local") or is_address(str(name)), "a foreign name", repr(host))
    if origin_allowed(origin, host):
        require(origin.lower().endswith(f"//{host}".lower()), "a foreign origin", repr((origin, host)))
    require(same_token(token, "0123456789abcdef") == (token == "0123456789abcdef"), "a wrong token", repr(token))
