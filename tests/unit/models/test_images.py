"""The sizes of preview images, from their headers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.images import IMAGE_TYPES, image_size

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 343, 300)
GIF = b"GIF89a" + struct.pack("<HH", 343, 300)
FRAME = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 300, 343)
JPEG = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + FRAME
FILLED = b"\xff\xd8" + b"\xff\xff\xfe" + struct.pack(">H", 4) + b"\xff\xc0" + b"\xff\xff\xff\xc2" + FRAME[2:]
VP8X = b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + (342).to_bytes(3, "little") + (299).to_bytes(3, "little")
VP8L = b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + (342 | 299 << 14).to_bytes(4, "little")
VP8 = b"RIFF\0\0\0\0WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 343 | 1 << 14, 300)


@pytest.mark.parametrize("data", [PNG, GIF, JPEG, FILLED, VP8X, VP8L, VP8])
def test_size(data: bytes) -> None:
    assert (343, 300) == image_size(data)


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", PNG[:20], GIF[:8], JPEG[:20], b"\xff\xd8\xff", b"RIFF", b"RIFF....WAVE"]
)
def test_what_is_cut_or_no_image_has_no_size(data: bytes) -> None:
    assert image_size(data) is None


@given(st.sampled_from([one.signature for one in IMAGE_TYPES]), st.binary(max_size=200))
def test_any_bytes_are_read(signature: bytes, rest: bytes) -> None:
    image_size(signature + rest)
