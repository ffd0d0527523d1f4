"""Generators that nest, repeat and grow.

An example holds recipes of large values instead of the values: `("grow", "x", 4096)`. `to_json` and `to_bytes` make
the values. So examples stay small to generate, to shrink and to read.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

ESCAPES = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r",
    "\n",
    "\x08",
    "\x00",
    "\u202e",
    "\u2028",
    "\udcff",
    "'",
    '"',
    "\\",
)
"""Texts that a terminal, a line of a log, or a parser could take for something else."""

sizes = st.one_of(st.integers(0, 20), st.integers(0, 17).map(lambda bits: 2**bits))
"""Small numbers, and powers of two up to 131,072."""

odd_integers = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 10**25, -(10**30)]),
)
odd_texts = st.one_of(
    st.text(max_size=12),
    st.lists(st.sampled_from(ESCAPES) | st.text(max_size=4), max_size=4).map("".join),
)
grown = st.tuples(st.just("grow"), st.sampled_from(["x", "é", "\x1b[1m", "9", "\\", "ü\n"]), sizes)
cores = st.sampled_from(["NaN", "1e999", "0"])
nested = st.tuples(st.just("nest"), st.sampled_from("[{"), st.integers(0, 14).map(lambda bits: 2**bits), cores)
digits = st.tuples(st.just("digits"), st.integers(0, 13).map(lambda bits: 2**bits))
extremes = st.one_of(
    st.tuples(
        st.just("grow"), st.sampled_from(["é", "x", "\x1b[1m"]), st.sampled_from([129, 1025, 8_000, 15_000, 120_000])
    ),
    st.tuples(st.just("nest"), st.sampled_from("[{"), st.sampled_from([600, 800, 14_000]), cores),
    st.tuples(st.just("digits"), st.sampled_from([20, 4000, 30_000])),
)
"""What is far larger or deeper than any good value."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    odd_integers,
    st.sampled_from([0.5, -1.5, 1e300, 1e-300]),
    st.sampled_from([("number", "NaN"), ("number", "-Infinity"), ("number", "1e999")]),
    odd_texts,
    grown,
    nested,
    digits,
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)
"""JSON values with recipes."""


def objects(names: list[str], **options: Any) -> st.SearchStrategy[Any]:
    """Objects whose keys are mostly from `names`."""
    keys = st.one_of(st.sampled_from(names), st.sampled_from(names), odd_texts)
    return st.dictionaries(keys, values, max_size=4, **options)


def to_json(value: Any) -> str:
    """Write a value with recipes as JSON. Deep nesting is written, not built: `json` could not."""
    match value:
        case ("grow", str(piece), int(count)):
            # Not escaped: a client may send two bytes for what `\\u00e9` takes six for.
            return json.dumps(piece * (count // len(piece) + 1), ensure_ascii=False)
        case ("nest", "{", int(depth), core):
            return '{"a":' * depth + core + "}" * depth
        case ("nest", _, int(depth), core):
            return "[" * depth + core + "]" * depth
        case ("digits", int(count)):
            return "9" * max(1, count)
        case ("number", str(text)):
            return text
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{to_json(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)


def to_text(value: Any) -> str:
    """A text, or the text of a recipe."""
    match value:
        case ("grow", str(piece), int(count)):
            return piece * (count // len(piece) + 1)
        case str():
            return value
    return to_json(value)


file_kinds = st.sampled_from(
    ["file", "file", "file", "file", "missing", "folder", "fifo", "zeros", "sparse", "dangling", "loop", "empty"]
)
"""What can have the name of a file; see `files.place`."""
