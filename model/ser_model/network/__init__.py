"""The network in ONNX Runtime: sessions, metadata, and the check of a model file."""

__all__ = [
    "estimator",
    "metadata",
    "onnx_file",
    "verification",
    "verification_checks",
]
