"""Roots of another Debian: made by mmdebstrap, entered by chroot. Debian's qemu runs those of another architecture.

All mounts are made in a mount namespace of this process, so they end with it, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from check_wheels import ask_pip

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_QEMU = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
_INSIDE = "DEBIAN_ROOT_NAMESPACE"

# What runs in it ends with it. unshare leaves the signals blocked that it ignores itself.
_SPACE = ("unshare", "--pid", "--fork", "--kill-child=SIGKILL")
_UNBLOCKED = ("env", "--default-signal=INT,TERM")

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
"""Of commands in a root: this machine's variables may name its files, or its processor."""


@dataclass(frozen=True)
class Kind:
    """What a root is: Debian's suite and architecture, the words that pip has for it, and its packages."""

    suite: str
    architecture: str
    machine: str
    python: str
    packages: tuple[str, ...]


_BASE = ("libportaudio2", "python3-venv")
_SERVICE = ("dbus-user-session", "libpam-systemd", "make", "procps", "systemd-sysv")
_SOUND = ("libasound2-plugins", "pulseaudio", "pulseaudio-utils")

KINDS = {
    "arm64": Kind("bookworm", "arm64", "aarch64", "3.11", _BASE),
    "debian13": Kind("trixie", "amd64", "x86_64", "3.13", (*_BASE, *_SERVICE, *_SOUND)),
}


class RootError(Exception):
    """A step failed; the text is for the user."""


def unavailable_reason(kind: Kind) -> str | None:
    """Return why this machine cannot make and enter such a root, or `None`."""
    if os.uname().machine != "x86_64":
        return f"it compares with x86-64, and this machine is {os.uname().machine}"
    if os.geteuid() != 0:
        return "mounts and chroot need root"
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux")):
        if shutil.which(tool) is None:
            return f"there is no {tool}: apt-get install {package}"
    if kind.architecture == "arm64":
        for path, package in ((_QEMU, "qemu-user-static"), (Path("/usr/bin/arch-test"), "arch-test")):
            if not path.exists():
                return f"there is no {path}: apt-get install {package}"
        if "binfmt_misc" not in Path("/proc/filesystems").read_text():
            return "this kernel has no binfmt_misc, which runs programs of another architecture"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False
    )
    return f"namespaces are not permitted here: {done.stderr.strip()}" if done.returncode else None


def enter_namespace() -> None:
    """Run this program again in a mount namespace of its own, unless it runs in one already."""
    if os.environ.get(_INSIDE) != str(os.getpid()):
        os.environ[_INSIDE] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-B", *sys.argv])


def register_qemu() -> None:
    """Let the kernel run programs for ARM by qemu.

    Raises:
        RootError: It is not permitted.
    """
    try:
        if not (BINFMT / "register").exists():
            _run("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
        if not (BINFMT / "qemu-aarch64").exists():
            (BINFMT / "register").write_text(_QEMU.read_text())
    except (OSError, RootError) as error:
        raise RootError(f"qemu cannot be registered with the kernel: {error}") from error


def make(kind: Kind, root: Path) -> bool:
    """Make a root, unless it exists; return whether it was made.

    Raises:
        RootError: mmdebstrap failed; its output is beside the root.
    """
    wanted = f"{kind}\n"
    stamp = root / "made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    part, log = root.with_name(f"{root.name}.part"), root.with_name(f"{root.name}.log")
    for old in (part, root):
        shutil.rmtree(old, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--variant=apt", f"--architectures={kind.architecture}"]
    with log.open("w") as output:
        words = [*command, f"--include={','.join(kind.packages)}", kind.suite, str(part)]
        code = _run_alone(words, output)
    if code:
        raise RootError(f"mmdebstrap failed: {log.read_text().strip().splitlines()[-1]} ({log})")
    (part / "made-from").write_text(wanted)
    part.rename(root)
    return True


def _run_alone(command: list[str], output: IO[str]) -> int:
    words = [*_SPACE, "--mount-proc", *_UNBLOCKED, *command]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
        try:
            return process.wait()
        except BaseException:
            # Ctrl-C reaches it as well; it then removes its temporary files.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise


def download(kind: Kind, requirements: str, folder: Path) -> None:
    """Download wheels for a root with this machine's pip, as it is set up here.

    Raises:
        RootError: There is no wheel, or no package index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = ask_pip(["download", "--dest", str(folder)], requirements, kind.machine, kind.python)
    if done.returncode:
        raise RootError(f"pip download failed: {(done.stderr.strip().splitlines() or [''])[-1]}")


def mount(root: Path, folders: dict[str, Path]) -> None:
    """Mount devices and folders in a root; the folders cannot be written to.

    There is no /sys: it describes this machine's processor, which ONNX Runtime would take for the emulated one.
    """
    _run("mount", "--rbind", "/dev", str(root / "dev"))
    for place, folder in folders.items():
        target = root / place.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(folder), str(target))
        _run("mount", "-o", "remount,bind,ro", str(target))


def inside(root: Path, *command: str) -> list[str]:
    """Return the command line that runs a command in a root. What it starts ends with it."""
    variables = [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
    clean = [*_UNBLOCKED, "--ignore-environment", *variables]
    return [*_SPACE, f"--mount-proc={root}/proc", *clean, "chroot", str(root), *command]


def run_inside(root: Path, *command: str) -> str:
    """Run a command in a root; return its output.

    Raises:
        RootError: It failed; the text has the end of its output.
    """
    return _run(*inside(root, *command))


def _run(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last: Sequence[str] = (done.stderr or done.stdout).strip().splitlines()[-2:]
        raise RootError(f"{' '.join(command[-4:])}: {' '.join(last) or f'exit status {done.returncode}'}")
    return done.stdout
