"""ONNX Runtime sessions, with the same options for every graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_model.console import uninterrupted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def new_session(content: bytes) -> InferenceSession:
    """Create a session for a serialised graph. It runs on the calling thread.

    A thread pool would cost more than it gains with graphs of this size, and a spinning pool takes whole cores.
    """
    with uninterrupted():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
