"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = (
    "affect",
    "audio.files",
    "audio.gate",
    "audio.levels",
    "durations",
    "features.features",
    "network.estimator",
    "network.model_files",
    "perception",
    "recognizer",
    "scoring.activation",
    "scoring.logit_bias",
    "scoring.ood",
    "scoring.smoothing",
    "scoring.softmax",
    "scoring.temperature",
    "types",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    result = doctest.testmod(import_module(f"ser_model.{name}"))
    assert result.attempted
    assert not result.failed
