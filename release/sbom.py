"""Write the software bill of materials: what is installed with the service, and what the wheel itself bundles.

    python release/sbom.py [file]          # dist/ser-daemon.cdx.json by default

The format is CycloneDX JSON (https://cyclonedx.org). Names, versions, licences with their texts and dependencies come
from the locked packages themselves, installed into a temporary environment; the hashes come from the lock file.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "systemd/requirements.txt"
WEIGHTS = "model/ser_model/weights"

Component = dict[str, Any]

BUNDLED = (
    ("reslstm-sa-h64.window.onnx", WEIGHTS, "machine-learning-model", "CC-BY-NC-SA-4.0", "LICENSE-CC-BY-NC-SA-4.0.txt"),
    ("reslstm-sa-h64.stream.onnx", WEIGHTS, "machine-learning-model", "CC-BY-NC-SA-4.0", "LICENSE-CC-BY-NC-SA-4.0.txt"),
    ("reslstm-sa-h64-open.window.onnx", WEIGHTS, "machine-learning-model", "CC-BY-4.0", "LICENSE-reslstm-sa.txt"),
    ("reslstm-sa-h64-open.stream.onnx", WEIGHTS, "machine-learning-model", "CC-BY-4.0", "LICENSE-reslstm-sa.txt"),
    ("silero_vad_16k_batch.onnx", WEIGHTS, "machine-learning-model", "MIT", "LICENSE-silero-vad.txt"),
    ("demo.flac", "daemon/ser_daemon/data", "data", "ODbL-1.0", "LICENSE-demo.txt"),
)
"""Files of others, or under another licence than the code: name, folder, type, licence, file of the licence."""

MADE_FROM = {"silero_vad_16k_batch.onnx": "release/silero_vad_16k.onnx"}
"""Files of others that a bundled file was made from (release/silero_graph.py)."""


def main() -> int:
    """Write the bill, and print where it is."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "dist/ser-daemon.cdx.json")
    try:
        bill = make_bill()
    except subprocess.CalledProcessError as error:
        output = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        print(f"sbom: {' '.join(error.cmd[:5])} ... failed: {' '.join(output)}", file=sys.stderr)
        return 2
    text = json.dumps(bill, indent=2, sort_keys=True) + "\n"
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"sbom: what was made is not CycloneDX: {fault}", file=sys.stderr)
        return 2
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    unknown = [component["name"] for component in bill["components"] if not component.get("licenses")]
    print(
        f"{target}: {len(bill['components'])} components, {len(unknown)} without a licence {' '.join(unknown)}".rstrip()
    )
    return 2 if unknown else 0


def make_bill() -> dict[str, Any]:
    """Return the bill."""
    with tempfile.TemporaryDirectory(prefix="ser-sbom-") as temporary:
        environment = Path(temporary) / "environment"
        run(sys.executable, "-m", "venv", "--without-pip", str(environment))
        python = str(environment / "bin/python")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        run(*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(LOCK))
        tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--gather-license-texts", "--output-reproducible"]
        run(*tool, "--pyproject", str(ROOT / "pyproject.toml"), "-o", f"{temporary}/bill.json", python)
        bill: dict[str, Any] = json.loads(Path(temporary, "bill.json").read_text())
    locked = locked_hashes()
    for component in bill["components"]:
        files = {"type": "distribution", "url": f"https://pypi.org/project/{component['name']}/{component['version']}/"}
        files["hashes"] = [{"alg": "SHA-256", "content": one} for one in locked[normal(component["name"])]]
        files["comment"] = "each file of this version that may be installed"
        component.setdefault("externalReferences", []).append(files)
    direct = {entry["ref"]: entry for entry in bill["dependencies"]}
    root = direct[bill["metadata"]["component"]["bom-ref"]]
    for name, folder, kind, licence, text in BUNDLED:
        bill["components"].append(bundled(ROOT / folder / name, kind, licence, ROOT / folder / text))
        root["dependsOn"] = sorted({*root.get("dependsOn", ()), name})
        bill["dependencies"].append({"ref": name})
    return bill


def bundled(path: Path, kind: str, licence: str, text: Path) -> Component:
    """Return the component of a file in the wheel, with the file that it was made from."""
    component: Component = {
        "bom-ref": path.name,
        "name": path.name,
        "type": kind,
        "hashes": hashes(path),
        "licenses": [{"license": {"id": licence, "text": {"content": text.read_text(), "contentType": "text/plain"}}}],
    }
    if path.name in MADE_FROM:
        origin = ROOT / MADE_FROM[path.name]
        component["pedigree"] = {"ancestors": [{"name": origin.name, "type": kind, "hashes": hashes(origin)}]}
    return component


def hashes(path: Path) -> list[dict[str, str]]:
    """Return the sum of a file."""
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def locked_hashes() -> dict[str, list[str]]:
    """Return the hashes of each locked package's files."""
    found: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", " ", LOCK.read_text()).splitlines():
        if match := re.match(r"([\w.-]+)==", line):
            found[normal(match[1])] = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
    return found


def normal(name: str) -> str:
    """Return a package's name in the form that indexes compare (packaging.python.org, name normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command: str) -> None:
    """Run a command.

    Raises:
        CalledProcessError: it failed; with its output
    """
    subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)


if __name__ == "__main__":
    sys.exit(main())
