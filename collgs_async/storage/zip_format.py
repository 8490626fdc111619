"""Constants and record layouts of the ZIP format, and the deflate codec.

Names of records and fields follow PKWARE's APPNOTE.TXT 6.3.10, §4.3 and §4.4.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from importlib import import_module
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BZIP2",
    "CENTRAL",
    "CENTRAL_SIGNATURE",
    "DEFLATED",
    "DESCRIPTOR_SIGNATURE",
    "ENCRYPTED",
    "END",
    "END64",
    "END64_SIGNATURE",
    "ENDS_BY_MARK",
    "END_SIGNATURE",
    "FULL16",
    "FULL32",
    "LOCAL",
    "LOCAL_SIGNATURE",
    "LOCATOR",
    "LOCATOR_SIGNATURE",
    "LZMA",
    "SIZES_FOLLOW",
    "STORED",
    "UNICODE_PATH_FIELD",
    "UTF8",
    "ZIP64_FIELD",
    "codec",
    "extra_fields",
]

codec: Any = zlib
"""`zlib`, or its faster replacement if the extra "fast" is installed."""
with suppress(ImportError):
    codec = import_module("isal.isal_zlib")

LOCAL_SIGNATURE: Final = b"PK\x03\x04"
CENTRAL_SIGNATURE: Final = b"PK\x01\x02"
END_SIGNATURE: Final = b"PK\x05\x06"
END64_SIGNATURE: Final = b"PK\x06\x06"
LOCATOR_SIGNATURE: Final = b"PK\x06\x07"
DESCRIPTOR_SIGNATURE: Final = b"PK\x07\x08"

LOCAL: Final = Struct("<4s5H3I2H")
CENTRAL: Final = Struct("<4s6H3I5H2I")
END: Final = Struct("<4s4H2IH")
END64: Final = Struct("<4sQ2H2I4Q")
LOCATOR: Final = Struct("<4sIQI")

FULL16: Final = 0xFFFF  # a field with this value is stored in the ZIP64 record instead
FULL32: Final = 0xFFFFFFFF
ZIP64_FIELD: Final = 0x0001
UNICODE_PATH_FIELD: Final = 0x7075

ENCRYPTED: Final = 1 << 0
ENDS_BY_MARK: Final = 1 << 1  # an end marker ends the stream; LZMA only (APPNOTE.TXT §5.8.9)
SIZES_FOLLOW: Final = 1 << 3
UTF8: Final = 1 << 11

STORED: Final = 0
DEFLATED: Final = 8
BZIP2: Final = 12
LZMA: Final = 14


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield identifier and data of each extra field; the last one may be truncated, and further bytes are ignored."""
    at = 0
    while at + 4 <= len(extra):
        field, length = unpack_from("<2H", extra, at)
        yield field, extra[at + 4 : at + 4 + length]
        at += 4 + length
