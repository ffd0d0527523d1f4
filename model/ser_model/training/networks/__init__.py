"""The network in PyTorch: architecture, training of many networks at once, inference, and export to ONNX."""

__all__ = [
    "architecture",
    "batched",
    "export",
    "fit",
    "fit_config",
    "frame_store",
    "inference",
    "training_step",
]
