"""Local headers of members, and their comparison with the central directory."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, NamedTuple

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import exactly
from collgs_async.storage.zip_format import (
    DESCRIPTOR_SIGNATURE,
    FULL32,
    LOCAL,
    LOCAL_SIGNATURE,
    SIZES_FOLLOW,
    ZIP64_FIELD,
    extra_fields,
)
from collgs_async.storage.zip_names import encoded

if TYPE_CHECKING:
    from io import BufferedReader

    from collgs_async.storage.zip_directory import Member

__all__ = [
    "LocalHeader",
    "describe_contradiction",
    "follows_from_directory",
    "is_empty",
    "lengths",
    "read_local_header",
]


class LocalHeader(NamedTuple):
    """Values of a local header, with names and units as in `Member`; `data` is the offset of the data."""

    version: int
    flags: int
    method: int
    modified: int
    crc: int
    compressed: int
    uncompressed: int
    name: bytes
    extra: bytes
    data: int


def read_local_header(file: BufferedReader, member: Member, end: int) -> LocalHeader:
    """Read the local header of a member that ends before an offset.

    Raises
    ------
    IntegrityError
        There is none, or its data would reach beyond that offset.
    """
    signature, version, flags, method, time, date, crc, compressed, uncompressed, name, extra = LOCAL.unpack(
        exactly(file, member.header, LOCAL.size)
    )
    if signature != LOCAL_SIGNATURE:
        raise IntegrityError("it has no local header")
    data: int = member.header + LOCAL.size + name + extra
    if data + member.compressed > end:
        raise IntegrityError(f"it reaches {plural(data + member.compressed - end, 'byte')} into what follows")
    words = exactly(file, member.header + LOCAL.size, name + extra)
    modified = date << 16 | time
    return LocalHeader(
        version, flags, method, modified, crc, compressed, uncompressed, words[:name], words[name:], data
    )  # fmt: skip


def lengths(header: Member | LocalHeader) -> tuple[int, int, int]:
    """Return CRC-32, packed and unpacked length of a header."""
    return header.crc, header.compressed, header.uncompressed


def is_empty(member: Member) -> bool:
    """Whether a member has no data."""
    return not (member.uncompressed or member.crc)


def describe_contradiction(member: Member, local: LocalHeader) -> str | None:
    """Describe a contradiction between local header and directory; fields of 0 or 0xFFFFFFFF are not contradictions."""
    if local.method != member.method and not is_empty(member):
        return f"its local header says method {local.method}, the directory {member.method}"
    pairs = zip(lengths(local), lengths(member), strict=True)
    if (local.flags | member.flags) & SIZES_FOLLOW or all(stated in (true, 0, FULL32) for stated, true in pairs):
        return None
    return "its local header and the directory differ in CRC-32 or length"


def follows_from_directory(file: BufferedReader, member: Member, local: LocalHeader, end: int) -> bool:
    """Whether every byte of a member other than its data follows from the directory entry."""
    ours = (local.version, local.flags, local.method, local.modified, local.name)
    theirs = (member.version, member.flags, member.method, member.modified, encoded(member.name, member.flags))
    if ours != theirs or not _extras_follow_from_directory(member, local):
        return False
    gap = end - local.data - member.compressed
    if not member.flags & SIZES_FOLLOW:
        return gap == 0
    sizes = (member.crc, member.compressed, member.uncompressed)
    expected = (sizes, (0, 0, 0), (0, FULL32, FULL32), (member.crc, FULL32, FULL32))
    return (local.crc, local.compressed, local.uncompressed) in expected and _is_descriptor(file, end - gap, gap, sizes)


def _extras_follow_from_directory(member: Member, local: LocalHeader) -> bool:
    """Whether all extra fields of a local header are in the directory entry, or repeat its lengths."""
    repeated = {pack("<2Q", member.uncompressed, member.compressed)}
    if member.flags & SIZES_FOLLOW:
        repeated.add(bytes(16))
    elsewhere = list(extra_fields(member.extra))
    fields = list(extra_fields(local.extra))
    whole = sum(4 + len(data) for _, data in fields) == len(local.extra)
    return whole and all(
        data in repeated if number == ZIP64_FIELD else (number, data) in elsewhere for number, data in fields
    )


def _is_descriptor(file: BufferedReader, at: int, length: int, sizes: tuple[int, int, int]) -> bool:
    """Whether these bytes are a data descriptor (APPNOTE.TXT §4.3.9): with or without signature, of 32 or 64 bits."""
    forms = {4 * 3: "<3I", 4 + 8 * 2: "<I2Q"}
    signature = DESCRIPTOR_SIGNATURE if length - len(DESCRIPTOR_SIGNATURE) in forms else b""
    form = forms.get(length - len(signature))
    if form is None or (form == "<3I" and max(sizes) > FULL32):
        return False
    return exactly(file, at, length) == signature + pack(form, *sizes)
