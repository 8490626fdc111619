"""Archives that are right and oddly written."""

from __future__ import annotations

import random
import struct
import zlib
from typing import TYPE_CHECKING

from tests.support.archives import Entry, written

if TYPE_CHECKING:
    from collections.abc import Callable


TEXT = b"<row>Vegetation 0.42 Water 0.07</row>\n" * 300


NOISE = random.Random(3).randbytes(5000)


BZIP2, LZMA, DEFLATE64, ENCRYPTED = 12, 14, 9, 1


def entries(**changes: object) -> list[Entry]:
    """Members of a small product; each gets these changes."""
    members = (b"P.SAFE/manifest.safe", TEXT, 8), (b"P.SAFE/GRANULE/B02.jp2", NOISE, 0), (b"P.SAFE/empty.xml", b"", 0)
    return [Entry(name, data, method, **changes) for name, data, method in members]  # type: ignore[arg-type] # of each test


def renamed(change: Callable[[bytes], bytes]) -> list[Entry]:
    """Members whose local headers have a changed name."""
    return [Entry(one.name, one.data, one.method, local={"name": change(one.name)}) for one in entries()]


def unicode_path(name: str, shown: bytes) -> bytes:
    data = struct.pack("<BI", 1, zlib.crc32(shown)) + name.encode()
    return struct.pack("<2H", 0x7075, len(data)) + data


def with_times(modified: int, accessed: int) -> bytes:
    return struct.pack("<2HB2I", 0x5455, 9, 3, modified, accessed)


def umlaut(shown: bytes, *, flags: int = 0, local: bytes, extra: bytes = b"") -> list[Entry]:
    return [*entries(), Entry(shown, TEXT, 8, flags=flags, local={"name": local, "flags": 0}, extra=extra)]


SPELT = "another spelling of the name in the local header"


SHORT = "no CRC-32 or length in the local header"


BEHIND = "bytes after the end of the packed data"


UTF8 = 1 << 11


ODD: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "backslashes in the local headers": (written(renamed(lambda n: n.replace(b"/", b"\\"))), (f"3 members: {SPELT}",)),
    "a leading ./": (written(renamed(lambda n: b"./" + n)), (f"3 members: {SPELT}",)),
    "a leading slash": (written(renamed(lambda n: b"/" + n)), (f"3 members: {SPELT}",)),
    "a drive": (written(renamed(lambda n: b"C:\\" + n.replace(b"/", b"\\"))), (f"3 members: {SPELT}",)),
    "a top folder that the directory lacks": (written(renamed(lambda n: b"data/" + n)), (f"3 members: {SPELT}",)),
    "no folders in the local headers": (written(renamed(lambda n: n.rsplit(b"/")[-1])), (f"3 members: {SPELT}",)),
    "small letters": (written(renamed(bytes.lower)), (f"3 members: {SPELT}",)),
    "a slash at the end of a folder": (
        written([Entry(b"P.SAFE/", local={"name": b"P.SAFE"}), *entries()]),
        (f"1 member: {SPELT}",),
    ),
    "code page 850 here, UTF-8 there": (
        written(umlaut("P.SAFE/Übersicht".encode(), flags=UTF8, local="P.SAFE/Übersicht".encode("cp850"))),
        (f"1 member: {SPELT}",),
    ),
    "code page 1252 here, 437 there": (
        written(umlaut("P.SAFE/Übersicht".encode("cp437"), local="P.SAFE/Übersicht".encode("cp1252"))),
        (f"1 member: {SPELT}",),
    ),
    "UTF-8 in both, announced in one": (
        written([*entries(), Entry("P.SAFE/Ü".encode(), TEXT, 8, flags=UTF8, local={"flags": 0})]),
        (),
    ),
    "another code page": (
        written(umlaut("P.SAFE/Обзор".encode(), flags=UTF8, local="P.SAFE/Обзор".encode("cp866"))),
        (f"1 member: {SPELT}",),
    ),
    "question marks for letters": (
        written(umlaut("P.SAFE/Übersicht".encode(), flags=UTF8, local=b"P.SAFE/?bersicht")),
        (f"1 member: {SPELT}",),
    ),
    "another name with the right one beside it": (
        written(umlaut(b"P.SAFE/X", local="P.SAFE/Ü".encode(), extra=unicode_path("P.SAFE/Ü", b"P.SAFE/X"))),
        (f"1 member: {SPELT}",),
    ),
    "no lengths and no CRC": (
        written(entries(local={"crc": 0, "packed": 0, "size": 0})), (f"2 members: {SHORT}",),
    ),
    "no CRC": (written(entries(local={"crc": 0})), (f"2 members: {SHORT}",)),
    "no length of the packed data": (written(entries(local={"packed": 0})), (f"2 members: {SHORT}",)),
    "no length of the data": (written(entries(local={"size": 0})), (f"2 members: {SHORT}",)),
    "other times, versions and extra fields": (
        written(entries(local={"time": 7, "version": 45, "extra": with_times(5, 6)}, extra=with_times(5, 9))),
        (),
    ),
    "an empty member of another method": (
        written([*entries(), Entry(b"P.SAFE/e", b"", 8, local={"method": 0})]),
        ("1 member: empty, with another method in the local header",),
    ),
    "bytes behind a deflate stream": (
        written([*entries(), Entry(b"P.SAFE/b", TEXT, 8, behind=bytes(4))]), (f"1 member: {BEHIND}",),
    ),
    "bytes behind stored data": (
        written([*entries(), Entry(b"P.SAFE/b", TEXT, 0, behind=b"more")]), (f"1 member: {BEHIND}",),
    ),
    "descriptors": (written(entries(descriptor="<3I")), ()),
    "descriptors without signature": (written(entries(descriptor="<3I", signed=False)), ()),
    "descriptors of 64 bits": (written(entries(descriptor="<I2Q")), ()),
    "a folder with data": (written([*entries(), Entry(b"P.SAFE/folder/", TEXT, 8)]), ()),
    "two members of one name": (written([*entries(), *entries()]), ()),
    "the marker of spanned archives": (written(entries(), before=b"PK00"), ("4 bytes before the first member",)),
    "the old marker of spanned archives": (
        written(entries(), before=b"PK\7\x08", counts_before=False), ("4 bytes before the first member",),
    ),
    "a byte order mark": (
        written(entries(), before=b"\xef\xbb\xbf", counts_before=False), ("3 bytes before the first member",),
    ),
    "an empty line": (written(entries(), before=b"\r\n", counts_before=False), ("2 bytes before the first member",)),
    "a script": (
        written(entries(), before=b'#!/bin/sh\nexec java -jar "$0"\n'), ("30 bytes before the first member",),
    ),
    "a program of which the offsets know nothing": (
        written(entries(), before=b"MZ\x90\0" + bytes(40_000), counts_before=False, zip64=True),
        ("40004 bytes before the first member",),
    ),
    "a program of which they know": (
        written(entries(), before=b"MZ\x90\0" + bytes(40_000), zip64=True), ("40004 bytes before the first member",),
    ),
    "a comment": (written(entries(), comment=b"c" * 65_535), ()),
    "zeros behind the end": (written(entries(), behind=bytes(512)), ("512 bytes after the end record",)),
    "a ZIP64 end": (written(entries(), zip64=True), ()),
    "the signature of a ZIP64 locator in a comment": (
        written([*entries(), Entry(b"P.SAFE/c", TEXT, 8, comment=b"PK\6\7" + b"c" * 16)]), (),
    ),
    "the signature of a ZIP64 locator in a name": (
        written([*entries(), Entry(b"P.SAFE/PK\6\7" + b"c" * 16, TEXT, 8)]), (),
    ),
    "the signature of an end record in a comment": (
        written([Entry(b"P.SAFE/c", TEXT, 8, comment=b"PK\5\6" + bytes(18))], comment=b"PK\5\6" + bytes(18)), (),
    ),
    "bzip2": (written([Entry(b"P.SAFE/b", TEXT, BZIP2), Entry(b"P.SAFE/n", NOISE, BZIP2)]), ()),
    "LZMA": (written([Entry(b"P.SAFE/b", TEXT, LZMA), Entry(b"P.SAFE/n", NOISE, LZMA)]), ()),
}  # fmt: skip
