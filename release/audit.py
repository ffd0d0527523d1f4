"""Look for known vulnerabilities of the locked packages, with pip-audit and an advisory database.

    python release/audit.py [--osv-url URL] [requirements file]

Exit status: 0 all packages were looked up and none is known to be vulnerable; 1 some are; 2 the audit could not run;
3 no advisory database is reachable, or it does not know some of the packages. pip-audit itself reports packages that
nobody looked up as free of vulnerabilities.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "systemd/requirements.txt"

CLEAN, VULNERABLE, FAILED, UNREACHABLE = 0, 1, 2, 3


def main(argv: list[str] | None = None) -> int:
    """Ask the databases, and print the result."""
    parser = argparse.ArgumentParser(prog="audit", description="Look for known vulnerabilities of the locked packages.")
    parser.add_argument(
        "requirements", nargs="?", type=Path, default=LOCK, help="locked versions (default: %(default)s)"
    )
    parser.add_argument("--osv-url", help="ask only this database, which speaks the protocol of api.osv.dev")
    options = parser.parse_args(argv)
    if not options.requirements.is_file():
        print(f"audit: {options.requirements}: there is no such file", file=sys.stderr)
        return FAILED
    services = [["osv", "--osv-url", options.osv_url]] if options.osv_url else [["osv"], ["pypi"]]
    reasons = []
    for service in services:
        packages, reason = ask(service, options.requirements)
        if packages is not None:
            return report(service[0], packages)
        reasons.append(f"{service[0]}: {reason}")
    print(f"audit: nothing was checked, as no advisory database is reachable ({'; '.join(reasons)})", file=sys.stderr)
    return UNREACHABLE


def ask(service: list[str], requirements: Path) -> tuple[list[dict[str, Any]] | None, str]:
    """Ask one database; return its entries for the packages, or `None` and the reason."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", *service, "--format", "json"]
    command += ["--requirement", str(requirements), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return None, "no answer"
    except (ValueError, KeyError):
        [*_, last] = ["no answer", *done.stderr.strip().splitlines()]
        return None, "cannot be reached" if re.search("Connection|Timeout|Resolution", last) else last[:200]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped and not any(package.get("vulns") for package in packages):
        return None, f"does not know {len(skipped)} of {len(packages)} packages, such as {skipped[0]}"
    return packages, ""


def report(service: str, packages: list[dict[str, Any]]) -> int:
    """Print what was found; return the exit status."""
    found = [(package, fault) for package in packages for fault in package.get("vulns", ())]
    for package, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    vulnerable = len({package["name"] for package, _ in found})
    print(f"{len(packages)} packages looked up ({service}), {vulnerable} with known vulnerabilities.")
    return VULNERABLE if found else CLEAN


if __name__ == "__main__":
    sys.exit(main())
