"""How long tests wait, in the end."""

from __future__ import annotations

import os

PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
"""Factor of the time limits of waits: `make test-arm64` raises it, as an emulated processor is slow."""
