"""Types of preview images, recognized by their first bytes, since catalogues declare every image as JPEG."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

__all__ = ["IMAGE_TYPES", "ImageType", "image_size", "image_type"]


class ImageType(NamedTuple):
    """A type of image: its first bytes, the suffix of its files, and its media type."""

    signature: bytes
    suffix: str
    media_type: str


IMAGE_TYPES: Final = (
    ImageType(b"\xff\xd8\xff", ".jpg", "image/jpeg"),
    ImageType(b"\x89PNG\r\n\x1a\n", ".png", "image/png"),
    ImageType(b"GIF8", ".gif", "image/gif"),
    ImageType(b"RIFF", ".webp", "image/webp"),
)
"""The types that are accepted; others, such as SVG, may contain scripts."""


_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of the frame headers of JPEG."""


def image_type(data: bytes) -> ImageType | None:
    """Return the type of an image; None for any other content."""
    return next((one for one in IMAGE_TYPES if data.startswith(one.signature)), None)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of an image in pixels, from its header; None when that is cut or unknown."""
    kind = image_type(data)
    try:
        match kind.suffix if kind else "":
            case ".png":
                return struct.unpack_from(">II", data, 16)
            case ".gif":
                return struct.unpack_from("<HH", data, 6)
            case ".jpg":
                return _jpeg_size(data)
            case ".webp":
                return _webp_size(data)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Find the frame header among the segments (ITU-T T.81, annex B)."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read the first chunk (RFC 9649, section 2)."""
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None
