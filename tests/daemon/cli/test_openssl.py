"""The daemon's process does without OpenSSL."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from ser_daemon.cli.openssl import import_without_openssl
import_without_openssl()
import ser_daemon.cli.run
import numpy.random
import hashlib
print(sorted({"ssl", "_ssl", "_hashlib"} & sys.modules.keys()), hashlib.sha256(b"abc").hexdigest()[:8])
import ssl
print(ssl.create_default_context().check_hostname)
"""


def test_neither_the_event_loop_nor_numpy_loads_openssl_and_what_needs_it_can_still_have_it() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    # The digest is that of FIPS 180-4.
    assert (done.stdout, done.stderr) == ("[] ba7816bf\nTrue\n", "")
