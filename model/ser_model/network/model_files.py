"""The names of a model's files: NAME.window.onnx, NAME.stream.onnx and NAME.sha256."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

from ser_model.errors import SerError

Mode = Literal["window", "stream"]

MODES: Final[tuple[Mode, ...]] = ("window", "stream")
"""The window graph computes a whole window at once. The stream graph takes and returns the state of an utterance."""

MOST_BYTES: Final = 4 << 20
"""Largest model file. The shipped ones have 233 kB. The weights of 128 cells take 436 kB, those of 256 cells 1.3 MB."""


class ModelFiles(NamedTuple):
    """The two graphs of one network."""

    window: Path
    stream: Path

    @classmethod
    def named(cls, path: Path) -> ModelFiles:
        """Paths of the pair that `path` belongs to; the files need not exist.

        Args:
            path: either file of the pair, or NAME without the endings.

        Raises:
            SerError: the path has no file name.

        Examples:
            >>> [path.name for path in ModelFiles.named(Path("models/net.stream.onnx"))]
            ['net.window.onnx', 'net.stream.onnx']
        """
        name = path.name
        if name in ("", ".."):
            raise SerError(
                f'"{path}" names no model; expected either file of a pair NAME.window.onnx, NAME.stream.onnx'
            )
        for mode in MODES:
            name = name.removesuffix(f".{mode}.onnx")
        return cls(*(path.with_name(f"{name}.{mode}.onnx") for mode in MODES))


def mode_of(path: Path) -> Mode | None:
    """Mode that a file's name gives, if any."""
    return next((mode for mode in MODES if path.name.endswith(f".{mode}.onnx")), None)


def checksum_file(path: Path) -> Path:
    """Path of the checksums beside a graph.

    Examples:
        >>> checksum_file(Path("net.window.onnx")).name
        'net.sha256'
    """
    name = path.name.removesuffix(".onnx")
    for mode in MODES:
        name = name.removesuffix(f".{mode}")
    return path.with_name(f"{name}.sha256")
