"""Types of preview images, recognized by their first bytes, since catalogues declare every image as JPEG."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["IMAGE_TYPES", "ImageType", "image_type"]


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


def image_type(data: bytes) -> ImageType | None:
    """Return the type of an image; None for any other content."""
    return next((one for one in IMAGE_TYPES if data.startswith(one.signature)), None)
