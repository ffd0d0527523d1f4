"""A box: a container that boots systemd over an overlay of this system's files.

Systemd is PID 1 of its own namespaces. All writes go to memory; `/changed` shows them. A box needs root, overlayfs and
cgroup v2. `BOX_ROOT` names the root of another Debian, whose systemd boots in place of this one's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(os.environ.get("BOX_ROOT", "/"))
SYSTEMD = ROOT / "lib/systemd/systemd"

_MOUNT_OPTIONS = ("rw", "ro", "relatime", "noatime", "nosuid", "nodev", "noexec", "xattr", "clone_children")

# $1: a folder to share; $2: commands to run in the new root before systemd starts, with network access;
# $3: the control group hierarchies of version 1, none where there is version 2 alone; $4: the root.
_SETUP = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o size=3g box /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=$4,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
root=/mnt/root
mkdir -p $root/changed
mount --bind /mnt/upper $root/changed
mount -t proc proc $root/proc
mount --rbind /dev $root/dev
mount -t sysfs -o ro sysfs $root/sys
if [ -z "$3" ]; then
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 cgroup $root/sys/fs/cgroup
    mkdir $root/sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup/unified
    for name in $3; do
        mkdir $root/sys/fs/cgroup/${name#name=}
        case $name in name=*) options=none,$name ;; *) options=$name ;; esac
        mount -t cgroup -o $options cgroup $root/sys/fs/cgroup/${name#name=}
    done
fi
mount -t tmpfs -o mode=755 run $root/run
mount -t tmpfs -o mode=1777 tmp $root/tmp
# After the mounts above, because it may be below /tmp.
mkdir -p "$root$1"
mount --bind "$1" "$root$1"
mount -o remount,bind,ro "$root$1"
cd $root
mkdir .outside
pivot_root . .outside
umount -l /.outside
rmdir /.outside
cd /
# The box does not start the services of the host.
rm -rf /etc/systemd/system/*.wants /lib/systemd/system/multi-user.target.wants /lib/systemd/system/timers.target.wants
rm -f /lib/systemd/system/sysinit.target.wants/*udev* /etc/machine-id
touch /etc/machine-id
sh -euc "$2" </dev/null >/prepared.log 2>&1 || { echo failed >/prepared; exec sleep infinity; }
echo done >/prepared
read -r go
# As systemd itself does outside of containers; the credentials of a unit are mounted in another namespace.
mount --make-rshared /
exec unshare --net /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=0
"""


class BoxError(Exception):
    """The box or a command in it failed."""


def unavailable_reason() -> str | None:
    """Return why this machine cannot run a box, or `None`."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    for tool in ("unshare", "nsenter", "pivot_root", "runuser", "setpriv"):
        if shutil.which(tool) is None:
            return f"there is no {tool} here"
    if not SYSTEMD.exists():
        return "there is no systemd here"
    probe = "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/r && "
    probe += "mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w o /mnt/r"
    command = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "sh", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        return f"namespaces or overlays are not permitted here: {done.stderr.strip()}"
    try:
        for group in _make_cgroups():
            group.rmdir()
    except OSError as error:
        return f"control groups cannot be made here: {error}"
    return None


def _hierarchies() -> dict[str, Path]:
    """Where each hierarchy of control groups is mounted, by its controllers; that of version 2 has none."""
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            found[""] = Path(place)
        elif kind == "cgroup":
            # After the options of the mount itself: rw,relatime,cpu,cpuacct, or rw,relatime,name=systemd.
            own = [word for word in options.split(",") if word not in _MOUNT_OPTIONS]
            found[",".join(own)] = Path(place)
    return found


def _make_cgroups() -> list[Path]:
    """Make a control group for a box in each hierarchy."""
    groups = []
    for controllers, place in _hierarchies().items():
        group = place / f"ser-box-{os.getpid()}"
        group.mkdir(exist_ok=True)
        if controllers == "cpuset":
            # A new group has no processor, and no process can enter it.
            for name in ("cpuset.cpus", "cpuset.mems"):
                (group / name).write_text((place / name).read_text())
        groups.append(group)
    return groups


class Box:
    """A container that boots systemd, and access to it."""

    def __init__(self, prepare: str, share: Path) -> None:
        """Mount the files and run `prepare`, without systemd yet.

        Args:
            prepare: A shell script, run as root in the box.
            share: A folder that the box can read, also from another file system.
        """
        self._groups = _make_cgroups()
        enter = "".join(f'echo $$ >"{group}/cgroup.procs"; ' for group in self._groups)
        enter += 'exec setpriv --pdeathsig=KILL unshare "$@"'
        spaces = ["--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child=SIGKILL"]
        inside = ["sh", "-c", _SETUP, "box", str(share), prepare, " ".join(filter(None, _hierarchies())), str(ROOT)]
        self._process = subprocess.Popen(
            ["sh", "-c", enter, "enter", *spaces, *inside], stdin=subprocess.PIPE, start_new_session=True
        )
        self._init = 0

    def wait_prepared(self, seconds: float = 600) -> None:
        """Wait for the end of the preparation.

        Raises:
            BoxError: It failed; the text is its output.
        """
        deadline = time.monotonic() + seconds
        root = Path("/nonexistent")
        while time.monotonic() < deadline and self._process.poll() is None:
            self._init = self._init or self._find_init()
            # The file exists only in the new root, after pivot_root.
            root = Path(f"/proc/{self._init}/root")
            if self._init and (root / "prepared").exists() and not (root / ".outside").exists():
                if (root / "prepared").read_text() != "done\n":
                    raise BoxError((root / "prepared.log").read_text())
                return
            time.sleep(0.1)
        log = root / "prepared.log"
        raise BoxError(f"The box was not ready in time:\n{log.read_text() if log.exists() else ''}")

    def boot(self, seconds: float = 60) -> None:
        """Start systemd and wait until it has started all units."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done = self.run("systemctl", "is-system-running", check=False)
            if done.stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.1)
        raise BoxError("systemd did not start everything in time.")

    def close(self) -> None:
        """End all processes of the box."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        deadline = time.monotonic() + 5
        while any(group.exists() for group in self._groups) and time.monotonic() < deadline:
            folders = [folder for group in self._groups for folder, _, _ in os.walk(group, topdown=False)]
            for folder in folders:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            time.sleep(0.05)

    def command(self, *words: str, user: str | None = None) -> list[str]:
        """Return the command that runs `words` in the box."""
        become = ["runuser", "-u", user, "--"] if user else []
        # The folders of the tests are none of the box's users.
        clean = ["env", *(f"--unset={name}" for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"))]
        return ["nsenter", "--target", str(self._init), "--all", "--", *clean, *become, *words]

    def run(
        self, *words: str, user: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the box.

        Raises:
            BoxError: The command failed, and `check` is set.
        """
        command = self.command(*words, user=user)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
        if check and done.returncode:
            raise BoxError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit."""
        done = self.run("systemctl", "show", f"--property={','.join(properties)}", unit)
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def journal(self, unit: str) -> str:
        """Return the log of a unit."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def path(self, inside: str) -> Path:
        """Return the path outside of the box of a file in it."""
        return Path(f"/proc/{self._init}/root") / inside.lstrip("/")

    def _find_init(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = children.read_text().split()
        return int(found[0]) if found else 0


@contextlib.contextmanager
def box(prepare: str, share: Path) -> Iterator[Box]:
    """Yield a box that is prepared but not booted; end it afterwards."""
    made = Box(prepare, share)
    try:
        made.wait_prepared()
        yield made
    finally:
        made.close()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until a condition holds; return the seconds that this took.

    Raises:
        BoxError: It did not hold in time.
    """
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise BoxError(f"Not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - start
