"""Keeps OpenSSL out of the daemon's process."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import cast

_OWN_SHA256 = "_sha2" if sys.version_info >= (3, 12) else "_sha256"


def import_without_openssl() -> None:
    """Import what looks for OpenSSL as in a Python that was built without it: OpenSSL would take 5 MB.

    The event loop then has no TLS, which no socket of the daemon uses, and SHA-256 is Python's own. NumPy's random
    numbers bring `hmac`. What imports `ssl` later gets it.
    """
    absent = [name for name in ("ssl", "_hashlib") if name not in sys.modules and find_spec(_OWN_SHA256) is not None]
    # An entry of None makes an import fail as if there were no such module (docs.python.org, "The import system").
    modules = cast(dict[str, None], sys.modules)
    modules.update(dict.fromkeys(absent))
    try:
        import asyncio  # noqa: F401
        import hashlib  # noqa: F401
        import hmac  # noqa: F401
    finally:
        for name in absent:
            del modules[name]
