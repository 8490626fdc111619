"""ZIP archives written field by field, so that each field can be as no writer of the standard library writes it."""

from __future__ import annotations

import bz2
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Entry", "compressed", "written"]

LOCAL = ("version", "flags", "method", "time", "date", "crc", "packed", "size")


def compressed(data: bytes, method: int) -> bytes:
    """Pack data by a method; what is not known here is taken as it is."""
    if method == 8:
        return zlib.compress(data, wbits=-15)
    if method == 12:
        return bz2.compress(data)
    if method == 14:
        import lzma

        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}]
        stream = lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)
        return b"\x09\x14\x05\x00" + bytes([(2 * 5 + 0) * 9 + 3]) + struct.pack("<I", 1 << 16) + stream
    return data


@dataclass
class Entry:
    """One member.

    Attributes
    ----------
    name, data
        As the directory has them.
    method, flags
        Of both headers.
    local
        Fields of the local header that differ: `name`, `extra`, or one of `LOCAL`.
    extra
        Extra fields of the directory.
    descriptor
        Layout of the data descriptor: ``"<3I"`` or ``"<I2Q"``; bit 3 is set then, and local CRC and lengths are zero.
    signed
        Whether the descriptor has its signature.
    behind
        Bytes behind the packed data that count as packed.
    """

    name: bytes
    data: bytes = b""
    method: int = 0
    flags: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    extra: bytes = b""
    comment: bytes = b""
    descriptor: str | None = None
    signed: bool = True
    behind: bytes = b""


def written(
    entries: Sequence[Entry],
    *,
    before: bytes = b"",
    counts_before: bool = True,
    comment: bytes = b"",
    zip64: bool = False,
    behind: bytes = b"",
) -> bytes:
    """Write an archive of these members, with bytes before it, which its offsets count or not, and behind it."""
    out, directory = bytearray(before), bytearray()
    base = 0 if counts_before else len(before)
    for entry in entries:
        offset = len(out) - base
        packed = compressed(entry.data, entry.method) + entry.behind
        flags = entry.flags | (2 if entry.method == 14 else 0) | (8 if entry.descriptor else 0)
        facts = {
            "version": 20, "flags": flags, "method": entry.method, "time": 0, "date": 0x5AA1,
            "crc": zlib.crc32(entry.data), "packed": len(packed), "size": len(entry.data),
        }  # fmt: skip
        local = facts | (dict.fromkeys(("crc", "packed", "size"), 0) if entry.descriptor else {}) | entry.local
        name, extra = local.get("name", entry.name), local.get("extra", b"")
        out += struct.pack("<4s5H3I2H", b"PK\3\4", *(local[each] for each in LOCAL), len(name), len(extra))
        out += name + extra + packed
        if entry.descriptor:
            out += (b"PK\7\x08" if entry.signed else b"") + struct.pack(
                entry.descriptor, facts["crc"], len(packed), len(entry.data)
            )
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, *(facts[each] for each in LOCAL),
            len(entry.name), len(entry.extra), len(entry.comment), 0, 0, 0, offset,
        )  # fmt: skip
        directory += entry.name + entry.extra + entry.comment
    start, count = len(out) - base, len(entries)
    out += directory
    if zip64:
        at = len(out) - base
        out += struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start)
        out += struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    told = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF) if zip64 else (count, count, len(directory), start)
    return bytes(out + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *told, len(comment)) + comment + behind)
