"""The network in PyTorch: architecture, parallel training of many, and export to ONNX."""

__all__ = [
    "architecture",
    "bank",
    "export",
    "fit",
    "stack",
]
