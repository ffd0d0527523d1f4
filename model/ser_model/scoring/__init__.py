"""From logits to scores: softmax, temperature, smoothing, activation, out-of-distribution score, logit bias."""

__all__ = [
    "activation",
    "logit_bias",
    "ood",
    "smoothing",
    "softmax",
    "temperature",
]
