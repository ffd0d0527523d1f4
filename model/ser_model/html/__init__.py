"""Self-contained HTML pages and SVG plots."""

__all__ = [
    "page",
    "svg",
]
