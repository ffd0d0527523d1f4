"""What is kept over a restart: the mute state, the learned statistics, and profiles of speakers."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz.files import edit, folder, place
from fuzz.invariants import require
from fuzz.strategies import extremes, file_kinds, odd_texts, scalars, to_json, values
from fuzz.target import register
from ser_daemon.adaptation.corrections import FILE_NAME as CORRECTIONS
from ser_daemon.adaptation.session import FILE_NAME, make_session
from ser_daemon.config.schema import AdaptationConfig, Config, ServiceConfig
from ser_daemon.service.mute import MuteMemory
from ser_model.adaptation.adaptation import Statistics, model_version
from ser_model.network.estimator import Model
from ser_model.network.metadata import ModelMetadata

edits = st.lists(
    st.tuples(
        st.sampled_from(["put", "insert", "cut", "end", "repeat"]),
        st.integers(0, 1 << 20),
        st.binary(max_size=8),
    ),
    max_size=4,
)
mute_contents = st.one_of(
    st.sampled_from([b"0\n", b"1\n", b"0", b"1", b"", b"\n", b"0\n0", b"\xff", b"00", b" 0 ", b"true"]),
    st.binary(max_size=12),
    st.tuples(st.sampled_from([b"0", b"1", b"\n"]), st.integers(0, 16)).map(lambda pair: pair[0] * 2 ** pair[1]),
)


@register(
    "mute",
    st.tuples(file_kinds, mute_contents, st.booleans(), st.lists(st.booleans(), max_size=3)),
    quick=80,
    isolated=True,
    seconds=1.0,
)
def check_mute(example: tuple[str, bytes, bool, list[bool]]) -> None:
    """Listening needs a state file that says so, or none; what is stored is loaded again."""
    kind, content, default, stored = example
    with folder() as path:
        place(path / "muted", kind, content)
        says_listen = kind == "missing" or (kind == "file" and content.strip() == b"0")
        muted = MuteMemory(path).load(default=default)
        require(muted or says_listen, "mute fails open", f"a {kind} with {content[:20]!r} means listening")
        require(muted or not default, "start_muted ignored")
        memory = MuteMemory(path)
        for state in stored:
            memory.store(state)
        if stored and kind not in ("folder", "loop"):
            require(MuteMemory(path).load(default=False) == stored[-1], "stored state lost", repr(stored))


@cache
def metadata() -> ModelMetadata:
    """Metadata of the shipped network."""
    return Model.load().metadata


@cache
def statistics() -> dict[str, Any]:
    """Good statistics as plain data."""
    one = metadata()
    made = Statistics(60.0, np.array(one.mean), np.full(8, 0.1))
    return made.to_data(model_version(one))


NAMES = ["format", "model", "profile", "seconds", "features", "logits"]
numbers = st.lists(st.one_of(st.floats(-1e3, 1e3, allow_nan=False), scalars), max_size=50)
contents = st.one_of(
    st.tuples(st.just("fields"), st.dictionaries(st.sampled_from(NAMES), scalars | numbers | values, max_size=3)),
    st.tuples(st.just("item"), st.sampled_from(["features", "logits"]), st.integers(0, 60), scalars),
    st.tuples(st.just("edits"), edits),
    st.tuples(st.just("json"), values | extremes),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)


@cache
def corrections() -> dict[str, Any]:
    """A good file of corrections as plain data."""
    one = metadata()
    kept = [
        {"time": "2026-11-22T08:44:01Z", "label": label, "logits": [0.1] * 8, "embedding": [0.1] * one.hidden}
        for label in ("happy", "sad")
    ]
    return {"format": 1, "models": {model_version(one): kept}}


taught_contents = st.one_of(
    st.tuples(st.just("fields"), st.dictionaries(st.sampled_from(["format", "models"]), scalars | values, max_size=2)),
    st.tuples(
        st.just("correction"), st.sampled_from(["time", "label", "logits", "embedding"]), scalars | numbers | odd_texts
    ),
    st.tuples(st.just("edits"), edits),
    st.tuples(st.just("json"), values | extremes),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)


def to_content(change: tuple[Any, ...], good: dict[str, Any]) -> bytes:
    """The bytes of a file that is good but for the change."""
    match change:
        case ("correction", name, value):
            [(model, [first, *others])] = good["models"].items()
            sections = {model: [{**first, name: value}, *others]}
            return to_json({**good, "models": sections}).encode("utf-8", "surrogatepass")
        case ("fields", fields):
            return to_json({**good, **fields}).encode("utf-8", "surrogatepass")
        case ("item", name, index, value):
            row = list(good[name])
            row[index % len(row)] = value
            return to_json({**good, name: row}).encode("utf-8", "surrogatepass")
        case ("edits", changes):
            return edit(json.dumps(good).encode(), changes)
        case ("json", value):
            return to_json(value).encode("utf-8", "surrogatepass")
    return bytes(change[1])


speakers = st.one_of(st.none(), st.just("anna"), odd_texts)


@register(
    "adaptation",
    st.tuples(file_kinds, contents, file_kinds, contents, speakers, st.booleans(), file_kinds, taught_contents),
    quick=100,
    isolated=True,
    seconds=5.0,
)
def check_adaptation(example: tuple[Any, ...]) -> None:
    """No state file and no profile keeps the daemon from starting, and no offset is out of its bounds."""
    kind, content, profile_kind, profile, speaker, running, taught_kind, taught = example
    with folder() as path:
        place(path / "state" / FILE_NAME, kind, to_content(content, statistics()))
        place(path / "state" / CORRECTIONS, taught_kind, to_content(taught, corrections()))
        place(
            path / "config" / "ser-daemon" / "speakers" / "anna.json", profile_kind, to_content(profile, statistics())
        )
        environ = {"XDG_CONFIG_HOME": str(path / "config"), "HOME": str(path)}
        config = Config(
            adaptation=AdaptationConfig(running=running, speaker=speaker, corrections=True),
            service=ServiceConfig(state_directory=path / "state"),
        )
        session = make_session(config, metadata(), environ)
        require(np.isfinite(session.seconds), "seconds are not finite")
        if session.adaptation is not None:
            offset = session.adaptation.offset
            require(np.isfinite(offset.features).all() and np.isfinite(offset.logits).all(), "offset is not finite")
            require(np.abs(offset.logits).max() <= 0.4 + 1e-6, "offset out of bounds", str(offset.logits))
            if offset.head is not None:
                taught_logits = offset.head.apply(np.zeros(8), np.ones(metadata().hidden))
                require(np.isfinite(taught_logits).all(), "taught logits are not finite", str(taught_logits))
            session.adaptation.learn(np.zeros(46), 100, np.zeros(8, np.float32))
        session.store()
        make_session(replace(config, adaptation=AdaptationConfig(running=running)), metadata(), environ)
