"""From logits to scores: softmax, temperature, smoothing, out-of-distribution score, logit bias."""

__all__ = [
    "logit_bias",
    "ood",
    "smoothing",
    "softmax",
    "temperature",
]
