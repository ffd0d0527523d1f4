"""From logits to probabilities: temperature, smoothing, out-of-distribution score, logit bias."""

__all__ = [
    "logit_bias",
    "ood",
    "smoothing",
    "softmax",
    "temperature",
]
