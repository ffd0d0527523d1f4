"""Without the library the message names the extra."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "livekit":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import ser_bridges.livekit
"""


def test_a_missing_library_names_the_extra() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == (
        "ser_model.errors.SerError: The library livekit is missing; install the extra livekit: "
        "pip install 'ser-daemon[livekit]'."
    )
