"""The structure of the source: imports point one way, and modules, functions and classes stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = {"ser_model": "model", "ser_daemon": "daemon", "ser_calibration": "calibration", "ser_bridges": "bridges"}
"""Source folder of each package; a package imports itself and those before it."""

FOR_BRIDGES = ("ser_bridges", "ser_model", "ser_daemon.client", "ser_daemon.backoff")
"""What bridges may import: no more of the daemon than any other program."""

ALSO_RECOGNISES = ("ser_daemon.config", "ser_daemon.pipeline.wire_events", "ser_daemon.sources", "ser_daemon.wire")
"""What `ser_bridges.wyoming` may import besides: it recognises by itself, with the daemon's settings and events."""

FLAT = ("ser_model", "ser_model.training", *list(LAYERS)[1:])
"""Packages whose own modules each count by themselves; in any other package all modules count as one."""

LONGEST_MODULE = 260
LONGEST_FUNCTION = 45
MOST_ATTRIBUTES = 12
"""Attributes of a class that its methods other than `__init__` set."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for folder in LAYERS.values() for path in sorted((ROOT / folder).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def imported(name: str) -> Iterator[str]:
    """Modules of the project that a module imports, also inside functions."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in SOURCES)
        elif isinstance(node, ast.ImportFrom) and node.module in SOURCES:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in SOURCES else node.module


def place(module: str) -> str:
    """The sub-package that a module belongs to, or the module itself where its package is flat."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    return module if package in FLAT else package


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one cycle; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_sub_packages_import_each_other_without_a_cycle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module in SOURCES:
        graph[place(module)] |= {place(other) for other in imported(module)} - {place(module)}
    assert not cycle_in(graph)
    assert cycle_in({"a": {"b"}, "b": {"a"}}), "the check itself finds cycles"


@pytest.mark.parametrize("package", LAYERS)
def test_no_package_imports_upwards(package: str) -> None:
    order = list(LAYERS)
    allowed = order[: order.index(package) + 1]
    upward = [
        (module, other)
        for module in SOURCES
        if module.split(".")[0] == package
        for other in imported(module)
        if other.split(".")[0] not in allowed
    ]
    assert upward == []


def test_bridges_use_the_daemon_as_other_programs_do() -> None:
    too_much = [
        (module, other)
        for module in SOURCES
        if module.split(".")[0] == "ser_bridges"
        for other in imported(module)
        if not any(
            other == name or other.startswith(f"{name}.")
            for name in FOR_BRIDGES + (ALSO_RECOGNISES if module.startswith("ser_bridges.wyoming") else ())
        )
    ]
    assert too_much == []


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, ser_daemon.client; print(*{name.partition('.')[0] for name in sys.modules})"
    before = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded, usual = (
        set(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split())
        for text in (code, before)
    )
    assert loaded - usual - sys.stdlib_module_names == {"ser_daemon", "ser_model"}


@pytest.mark.parametrize("name", SOURCES)
def test_modules_functions_and_classes_stay_small(name: str) -> None:
    assert len(SOURCES[name].read_text().splitlines()) < LONGEST_MODULE
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 < LONGEST_FUNCTION, node.name
        elif isinstance(node, ast.ClassDef):
            assert len(set(set_outside_constructor(node))) <= MOST_ATTRIBUTES, node.name


def set_outside_constructor(cls: ast.ClassDef) -> Iterator[str]:
    """Attributes of `self` that a class's other methods assign."""
    methods = (node for node in cls.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for node in (node for method in methods if method.name != "__init__" for node in ast.walk(method)):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
                yield node.attr
