"""ONNX Runtime sessions, with the same options for every graph."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

from ser_model.c_stderr import without_lines
from ser_model.console import uninterrupted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_HARMLESS = re.compile(rb"Error in cpuinfo: |onnxruntime (cpuid_info )?warning: .*(cpuinfo|CPU vendor)")
"""What it writes on ARM where it cannot find out about the processor. It then uses instructions that all have."""


def new_session(content: bytes) -> InferenceSession:
    """Create a session for a serialised graph. It runs on the calling thread.

    A thread pool would cost more than it gains with graphs of this size, and a spinning pool takes whole cores.
    """
    onnxruntime = load_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def load_onnxruntime() -> Any:
    """Import ONNX Runtime, without its remarks on a processor that it does not know."""
    # Once it is loaded, stderr is left alone.
    quiet = contextlib.nullcontext() if "onnxruntime" in sys.modules else without_lines(_HARMLESS)
    with uninterrupted(), quiet:
        import onnxruntime
    return onnxruntime
