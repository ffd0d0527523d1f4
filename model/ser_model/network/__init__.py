"""The network in ONNX Runtime: sessions, metadata, and the check of a model file."""

__all__ = [
    "checksums",
    "estimator",
    "graph_check",
    "graph_shapes",
    "metadata",
    "metadata_values",
    "model_files",
    "model_graph",
    "onnx_file",
    "onnx_session",
    "protobuf",
    "verification",
    "verification_checks",
    "verification_child",
]
