"""The network in ONNX Runtime: sessions, metadata, and the check of a model file."""

__all__ = [
    "checksums",
    "estimator",
    "metadata",
    "model_files",
    "onnx_file",
    "onnx_session",
    "verification",
    "verification_checks",
]
