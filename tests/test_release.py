"""What a release consists of: a wheel that can be built again, a bill of materials, an audit of the packages."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "systemd/requirements.txt"
OFFLINE = ("onnection", "name resolution", "No matching distribution", "Max retries")


def release(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(ROOT / "release" / script), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **environ}, cwd=ROOT
    )
    assert "Traceback" not in done.stderr
    return done


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install -e '.[release]'")


def online(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode and any(word in done.stderr for word in OFFLINE):
        pytest.skip(f"packages cannot be downloaded here: {done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_builds_of_the_wheel_are_equal_to_the_byte(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        online(release("wheel.py", str(tmp_path / "one"), SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo"))
        os.umask(0o002)
        online(release("wheel.py", str(tmp_path / "two"), SOURCE_DATE_EPOCH="1700000000", PYTHONHASHSEED="7"))
        online(release("wheel.py", str(tmp_path / "later"), SOURCE_DATE_EPOCH="1700000002"))
    finally:
        os.umask(mask)
    one, two, later = (next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two", "later"))
    assert one == two
    assert one != later


def tracked() -> set[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout, which the source distribution is built from")
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    tracked()
    folder = tmp_path_factory.mktemp("built")
    for script in ("wheel.py", "sdist.py"):
        online(release(script, str(folder), SOURCE_DATE_EPOCH="1700000000"))
    return folder


@pytest.mark.slow
def test_the_source_distribution_holds_what_git_holds_and_has_the_same_bytes_again(built: Path, tmp_path: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    online(release("sdist.py", str(tmp_path), SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo"))
    assert (tmp_path / sdist.name).read_bytes() == sdist.read_bytes()
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    made = {"PKG-INFO", "setup.cfg", "model/ser_model/commit.txt"}
    assert {name for name in held if not name.startswith("ser_daemon.egg-info/")} == tracked() | made


@pytest.mark.slow
def test_a_wheel_from_the_source_distribution_is_the_wheel(built: Path, tmp_path: Path) -> None:
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(tree)]
    online(subprocess.run(pip, capture_output=True, text=True, timeout=600, check=False))
    [again] = tmp_path.glob("*.whl")
    ones, others = (zipfile.ZipFile(path) for path in (wheel, again))
    with ones, others:
        # The hashes of METADATA and WHEEL name the build tool, which is the newest here.
        names = {name for name in ones.namelist() if ".dist-info/" not in name}
        assert {name for name in others.namelist() if ".dist-info/" not in name} == names
        assert [name for name in names if ones.read(name) != others.read(name)] == []


@pytest.mark.slow
def test_package_indexes_would_accept_both(built: Path) -> None:
    needs("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_manifest_names_every_file() -> None:
    needs("check_manifest")
    tracked()
    command = [sys.executable, "-m", "check_manifest", str(ROOT)]
    online(subprocess.run(command, capture_output=True, text=True, timeout=600, check=False))


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    done = release("wheel.py", str(tmp_path), SOURCE_DATE_EPOCH="yesterday")
    assert done.returncode == 2
    assert done.stderr == "wheel: SOURCE_DATE_EPOCH: expected seconds since 1970, got 'yesterday'\n"


@pytest.mark.slow
def test_the_bill_of_materials_has_every_locked_package_and_bundled_file(tmp_path: Path) -> None:
    needs("cyclonedx_py")
    bill = tmp_path / "bill.json"
    online(release("sbom.py", str(bill)))
    read = json.loads(bill.read_text())
    components = {component["name"].lower().replace("_", "-"): component for component in read["components"]}
    locked = [line.split("==") for line in LOCK.read_text().splitlines() if "==" in line]
    for name, rest in locked:
        component = components.pop(name.lower())
        assert component["version"] == rest.split()[0]
        assert component["licenses"]
        files = component["externalReferences"][-1]
        assert [f"--hash=sha256:{one['content']}" in LOCK.read_text() for one in files["hashes"]]
    weights = ROOT / "model/ser_model/weights"
    for name in [*(path.name for path in weights.glob("*.onnx")), "demo.flac"]:
        [path] = ROOT.glob(f"*/*/*/{name}")
        component = components.pop(name.lower().replace("_", "-"))
        assert component["hashes"][0]["content"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert component["licenses"][0]["license"]["text"]["content"]
        if name == "silero_vad_16k_batch.onnx":
            [origin] = component["pedigree"]["ancestors"]
            assert origin["name"] == "silero_vad_16k.onnx"
            assert origin["hashes"][0]["content"] in (ROOT / "release/silero_graph.py").read_text()
    assert components == {}


class Advisories(BaseHTTPRequestHandler):
    """An advisory database that knows one fault of one package, if any."""

    faulty = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
        fault = {"id": "PYSEC-1", "summary": "a fault", "modified": "2026-01-01T00:00:00Z"}
        fault["affected"] = [{"package": asked, "ranges": ranges}]
        answer = json.dumps({"vulns": [fault]} if asked["name"] == self.faulty else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def database(faulty: str = "") -> Iterator[str]:
    handler = type("Handler", (Advisories,), {"faulty": faulty})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_an_audit_without_a_finding_names_how_many_packages_were_looked_up() -> None:
    needs("pip_audit")
    with database() as url:
        done = release("audit.py", "--osv-url", url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{LOCK.read_text().count('==')} packages looked up (osv), 0 with known vulnerabilities.\n"


def test_an_audit_names_a_vulnerable_package_and_the_mended_version() -> None:
    needs("pip_audit")
    with database("pyyaml") as url:
        done = release("audit.py", "--osv-url", url)
    assert done.returncode == 1
    assert "PYSEC-1, fixed in 99.0" in done.stdout
    assert "1 with known vulnerabilities" in done.stdout


def test_an_audit_without_a_database_says_that_nothing_was_checked() -> None:
    needs("pip_audit")
    with database() as url:
        pass
    done = release("audit.py", "--osv-url", url)
    assert done.returncode == 3
    assert done.stdout == ""
    reason = "audit: nothing was checked, as no advisory database is reachable (osv: cannot be reached)\n"
    assert done.stderr == reason
