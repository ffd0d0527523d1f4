"""Names that have moved. `run.py --code` runs the targets on older source trees too."""

from __future__ import annotations

from typing import Any

set_up_log: Any
inherited: Any
try:
    from ser_daemon.cli.log import set_up_log
except ImportError:
    from ser_daemon.cli.run import _set_up_log as set_up_log
try:
    from ser_daemon.wire.systemd_sockets import inherited
except ImportError:
    from ser_daemon.wire.sockets import inherited

__all__ = ["inherited", "set_up_log"]
