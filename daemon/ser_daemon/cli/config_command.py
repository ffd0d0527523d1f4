"""`ser-ctl config`: which settings are in force, and where each was set. It asks no daemon."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ser_daemon.paths import SYSTEM_CONFIG
from ser_model import console
from ser_model.command_line import CommandParser

if TYPE_CHECKING:
    from ser_daemon.config.loading import Config

DESCRIPTION = f"""\
Print the settings with which ser-daemon would start now, and where each comes from: a file with the line, a variable, \
or the built-in default. The output is a config file itself.

It reads what a daemon of yours reads: SER_* variables, the file of SER_CONFIG, ~/.config/ser-daemon/config.yaml and \
{SYSTEM_CONFIG}. It asks no daemon, so options of a running daemon's command line, and changes that were not reloaded, \
are not seen."""

EXAMPLES = (
    ("ser-ctl config", "all settings"),
    ("ser-ctl config --diff", "only what was set somewhere"),
    ("ser-ctl config --diff --system", "the same for the machine's service"),
)


def add_config(commands: argparse._SubParsersAction[CommandParser]) -> None:
    """Add `ser-ctl config`."""
    parser = commands.add_parser(
        "config",
        help="which settings are in force, and where each was set (asks no daemon)",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("--diff", action="store_true", help="only the settings that were set, with their defaults")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--config", type=Path, metavar="FILE", help="read this file too, as ser-daemon --config does")
    place.add_argument("--system", action="store_true", help=f"as the machine's service reads them: {SYSTEM_CONFIG}")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print them as JSON")
    parser.set_defaults(run=_run_config)


def _run_config(options: argparse.Namespace) -> int:
    # Imported late: the other commands need no YAML.
    from ser_daemon.config.loading import load_config

    if options.system:
        config = load_config(environ={}, default_files=[SYSTEM_CONFIG])
    else:
        config = load_config(path=options.config, environ=os.environ)
    if options.json:
        print(json.dumps(_as_data(config, only_set=options.diff)))
    else:
        console.say("\n".join(_as_yaml(config, only_set=options.diff)))
    return 0


def _as_data(config: Config, *, only_set: bool) -> dict[str, dict[str, object]]:
    """Return value, default and source of each setting by its dotted name."""
    from ser_daemon.config.schema import KEYS

    found: dict[str, dict[str, object]] = {}
    for name, key in KEYS.items():
        if not only_set or name in config.sources:
            value, default = (str(one) if isinstance(one, Path) else one for one in (config.value(name), key.default))
            found[name] = {"value": value, "default": default, "source": config.sources.get(name, "default")}
    return found


def _as_yaml(config: Config, *, only_set: bool) -> Iterator[str]:
    """Yield the lines of a config file whose comments say where each setting comes from."""
    files = ", ".join(map(str, config.files)) or "none"
    yield f"# Config files: {files}"
    data = _as_data(config, only_set=only_set)
    if not data:
        yield "# Nothing was set: all settings have their defaults. `ser-ctl config` shows them."
    section = ""
    for name, entry in data.items():
        if not name.startswith(f"{section}."):
            section = name.partition(".")[0]
            yield f"{section}:"
        line = f"  {name.removeprefix(f'{section}.')}: {_scalar(entry['value'])}"
        source = str(entry["source"])
        if only_set:
            source += f"; default: {_scalar(entry['default'])}"
        yield f"{line:<36}  # {source}"


def _scalar(value: object) -> str:
    """Return a value as YAML; text that could be read as something else is quoted, as JSON does it."""
    if isinstance(value, str):
        import yaml

        plain = yaml.safe_dump(value, width=4096, allow_unicode=True).splitlines()
        return plain[0] if plain[1:] in ([], ["..."]) else json.dumps(value)
    return json.dumps(value)
