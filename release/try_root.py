"""Try the program on another machine's Debian: the same results, and the same tests.

    python release/try_root.py arm64           # Debian 12 on 64-bit ARM, under qemu
    python release/try_root.py debian13        # Debian 13, also as a service under its systemd

The root is built once and kept; everything is reused where it fits. Exit status: 0 all is well, or it cannot be tried
here, with the reason; 1 something differs or a test failed; 2 a step failed; 130 Ctrl-C. Under qemu nothing can be said
about time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import debian_root
import same_answers
from debian_root import KINDS, Kind, RootError
from wheel import LOCK, ROOT, build, source_date

ENVIRONMENT = "srv/ser"
WHEELS = "usr/src/wheels"
SOURCE = "/usr/src/tree"
RECORDINGS = "/usr/src/recordings"

TEST_PACKAGES = (
    "aiohttp",
    "aiomqtt",
    "hypothesis",
    "jsonschema",
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "wyoming",
)
NO_SOUND = ("tests/model", "tests/daemon", "--ignore=tests/model/training", "-n", "2", "--dist", "loadfile")
SYSTEM = ("tests/system/test_service.py", "tests/system/test_wheel.py", "tests/systemd")

_started = time.monotonic()


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ser-daemon-roots"
    data = Path(os.environ.get("SER_DATA", ROOT.parent / "shared/data"))
    made = argparse.ArgumentParser(prog="try-root", description=(__doc__ or "").splitlines()[0])
    made.add_argument("kind", choices=KINDS)
    made.add_argument("--folder", type=Path, default=cache, help="where roots are kept (default: %(default)s)")
    made.add_argument("--data", type=Path, default=data, help="the folder of ravdess/ (default: SER_DATA, %(default)s)")
    made.add_argument("--recordings", type=int, default=50, metavar="N", help="how many (default: 50)")
    made.add_argument("--only", choices=("finals", "tests", "service"), help="one part (default: all that apply)")
    made.add_argument("--tests", metavar="EXPRESSION", help="run only these tests, as in pytest -k")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Try one kind of root."""
    options = parser().parse_args(argv)
    if options.recordings < 1:
        parser().error(f"--recordings: expected 1 or more, got {options.recordings}")
    kind = KINDS[options.kind]
    if reason := debian_root.unavailable_reason(kind):
        print(f"try-root: {options.kind} cannot be tried here: {reason}", file=sys.stderr)
        return 0
    debian_root.enter_namespace()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if attempt(options, kind) else 1
    except (RootError, OSError, ValueError) as error:
        print(f"try-root: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"try-root: {' '.join(map(str, error.cmd[:4]))} failed: {(error.stderr or '').strip()}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("ended; what is complete is reused the next time")
        return 130


def say(text: str) -> None:
    """Print a step with the time since the start."""
    print(f"{time.monotonic() - _started:6.0f} s  {text}", flush=True)


def attempt(options: argparse.Namespace, kind: Kind) -> bool:
    """Do all parts; return whether all is well."""
    root = options.folder.resolve() / options.kind
    if kind.machine != os.uname().machine:
        try:
            debian_root.register_qemu()
        except RootError as error:
            say(f"{options.kind} cannot be tried here: {error}")
            return True
    say(f"root {root}: Debian {kind.suite} {kind.architecture}")
    say("made" if debian_root.make(kind, root) else "is there already")
    install(kind, root)
    recordings = same_answers.choose_recordings(options.data, options.folder / "pieces", options.recordings)
    debian_root.mount(root, {SOURCE: ROOT, **{f"{RECORDINGS}/{n}": p for n, p in folders(recordings).items()}})
    parts: dict[str, Callable[[], bool]] = {
        "finals": lambda: same_finals(root, recordings),
        "tests": lambda: run_tests(root, options.tests, emulated=kind.machine != os.uname().machine),
        "service": lambda: run_service(root, options.tests),
    }
    if kind.architecture != "amd64":
        del parts["service"]
    results = [part() for name, part in parts.items() if options.only in (None, name)]
    return all(results)


def install(kind: Kind, root: Path) -> None:
    """Install the program, its locked libraries and what the tests need, each if it has changed."""
    python = f"/{ENVIRONMENT}/bin/python"
    lock = (ROOT / LOCK).read_text()
    stamp = root / ENVIRONMENT / "libraries"
    wanted = hashlib.sha256(f"{lock}{TEST_PACKAGES}".encode()).hexdigest()
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links=/{WHEELS}"]
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"downloading wheels for {kind.machine}, Python {kind.python}")
        shutil.rmtree(root / WHEELS, ignore_errors=True)
        debian_root.download(kind, lock, root / WHEELS)
        (root / "requirements.txt").write_text(lock)
        say("installing them")
        debian_root.run_inside(root, "python3", "-m", "venv", "--clear", f"/{ENVIRONMENT}")
        debian_root.run_inside(root, *pip, "--require-hashes", "--requirement", "/requirements.txt")
        debian_root.download(kind, "\n".join(TEST_PACKAGES), root / WHEELS)
        debian_root.run_inside(root, *pip, *TEST_PACKAGES)
        stamp.write_text(wanted)
    for old in (root / WHEELS).glob("ser_daemon-*.whl"):
        old.unlink()
    made = build(root / WHEELS, source_date())
    say(f"installing {made.name}")
    debian_root.run_inside(root, *pip, "--no-deps", "--force-reinstall", f"/{WHEELS}/{made.name}")
    say(debian_root.run_inside(root, f"/{ENVIRONMENT}/bin/ser-daemon", "--version").strip())


def folders(recordings: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of the recordings by their names in the root."""
    return {path.parent.name: path.parent for path in recordings}


def same_finals(root: Path, recordings: Sequence[Path]) -> bool:
    """Compare the final results for recordings with those of this machine; print the result."""
    collect = ROOT / "release/collect_finals.py"
    say(f"{len(recordings)} recordings on this machine")
    launcher = root / "usr/src/launch"
    packages = ":".join(str(ROOT / name) for name in ("model", "daemon", "calibration", "bridges"))
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -m ser_daemon.cli.daemon "$@"\n')
    launcher.chmod(0o755)
    here = collected([sys.executable, "-B", str(collect), str(launcher)], recordings)
    say("the same in the root")
    command = [
        f"/{ENVIRONMENT}/bin/python",
        "-B",
        f"{SOURCE}/release/collect_finals.py",
        f"/{ENVIRONMENT}/bin/ser-daemon",
    ]
    places = [Path(RECORDINGS, path.parent.name, path.name) for path in recordings]
    result = same_answers.compare(here, collected(debian_root.inside(root, *command), places, progress=True))
    for fault in result.faults:
        print(f"          {fault}")
    say(
        f"{len(recordings)} recordings, {result.finals} final results: "
        f"{'the same' if not result.faults else f'{len(result.faults)} differences'}; "
        f"a probability differs by at most {result.largest:.4f} (bound {same_answers.TOLERANCE})"
    )
    return not result.faults


def collected(command: list[str], paths: Sequence[Path], *, progress: bool = False) -> dict[str, dict[str, Any]]:
    """Run `collect_finals.py` for recordings, one on each processor; return its answers by name.

    Raises:
        RootError: It failed.
    """
    workers = min(os.cpu_count() or 1, len(paths))
    answers: dict[str, dict[str, Any]] = {}
    processes: list[subprocess.Popen[str]] = []

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answer = json.loads(line)
            answers[answer["name"]] = answer
            if progress and len(answers) % 10 == 0:
                say(f"{len(answers)} of {len(paths)}")

    with ThreadPoolExecutor(workers) as pool:
        try:
            for index in range(workers):
                words = [*command, *map(str, paths[index::workers])]
                processes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
            list(pool.map(read, processes))
        finally:
            # After Ctrl-C the threads would otherwise read to the end.
            codes = [process.wait(60) if len(answers) == len(paths) else process.kill() for process in processes]
    if any(codes):
        raise RootError(f"collect_finals.py failed with exit status {codes}")
    return answers


def run_tests(root: Path, expression: str | None, *, emulated: bool) -> bool:
    """Run the tests that need no sound in the root, with the installed program."""
    say("tests of ser_model and of the daemon")
    pytest = [f"/{ENVIRONMENT}/bin/python", "-B", "-m", "pytest", *pytest_options(expression), *NO_SOUND]
    variables = ["TEST_PATIENCE=10"] if emulated else []
    if emulated:
        pytest += ["-m", "not timing"]
    done = subprocess.run(debian_root.inside(root, "env", f"--chdir={SOURCE}", *variables, *pytest), check=False)
    say(f"tests: exit status {done.returncode}")
    return done.returncode == 0


def run_service(root: Path, expression: str | None) -> bool:
    """Boot the root's systemd, and run the tests of the service in it."""
    say("tests of the service under the root's systemd")
    environ = {**os.environ, "BOX_ROOT": str(root), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/{WHEELS}"}
    environ["PIP_CONFIG_FILE"] = os.devnull
    command = [sys.executable, "-B", "-m", "pytest", "-rP", *pytest_options(expression), *SYSTEM]
    done = subprocess.run(command, cwd=ROOT, env=environ, check=False)
    say(f"tests of the service: exit status {done.returncode}")
    return done.returncode == 0


def pytest_options(expression: str | None) -> list[str]:
    """Return the options of pytest."""
    return ["-p", "no:cacheprovider", "-q", *(["-k", expression] if expression else [])]


if __name__ == "__main__":
    sys.exit(main())
