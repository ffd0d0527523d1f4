"""The config file that is installed, with every setting in force."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def uncommented_settings(folder: Path) -> Path:
    """Write config.yaml into a folder without the # before its settings; return its path."""
    path = folder / "all.yaml"
    path.write_text(re.sub(r"^  #(?=\w+: )", "  ", (ROOT / "config.yaml").read_text(), flags=re.MULTILINE))
    return path
