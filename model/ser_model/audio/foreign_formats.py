"""Formats of audio that are not read, named by their first bytes, with the command that converts them."""

from __future__ import annotations

import shlex

HEAD_BYTES = 16
"""Bytes that `name_format` needs."""

_MPEG4 = "MPEG-4 audio (M4A, MP4)"

_MAGIC = (
    (4, b"ftyp", _MPEG4),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"ID3", "MP3"),
    (0, b"OggS", "Ogg"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (0, b"fLaC", "FLAC"),
)
"""Offset, bytes and name: ISO 14496-12, RFC 8794, id3.org, RFC 3533, RFC 4867, ASF specification, RFC 9639."""


def name_format(head: bytes) -> str | None:
    """Return the name of the format that begins with these bytes; `None` if it is none of the known ones.

    Args:
        head: the first `HEAD_BYTES` bytes, or fewer.
    """
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    # A frame of MPEG audio begins with eleven bits of one; layer 0 is AAC in ADTS (ISO 13818-7).
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "AAC" if head[1] & 0x06 == 0 else "MP3"
    return None


def stdin_conversion(name: str) -> str:
    """Return what to do with stdin in a format of `name_format`.

    The index of an MPEG-4 file is often its end, so that ffmpeg cannot convert it from a pipe.
    """
    if name == _MPEG4:
        return f"save it, and convert the file: {conversion('FILE')}"
    return f"convert it: ... | {conversion('-')}"


def conversion(path: str) -> str:
    """Return the command that converts a file, or stdin for `-`, and lets the daemon listen to it.

    ffmpeg neither reads the keys of the live view nor writes into it. A word before a colon would be a protocol.
    """
    source = shlex.quote(f"file:{path}" if ":" in path else path)
    return f"ffmpeg -nostdin -loglevel error -i {source} -f wav - | ser-daemon --mic stdin"
