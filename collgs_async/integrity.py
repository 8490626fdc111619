"""Are these bytes the product? First bytes, length, ZIP structure, and the CRC of each member.

Everything here is synchronous and reads a file that nobody writes; where that is large, it belongs in a thread. Memory
does not grow with the archive, only with the number of its members.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice
from struct import unpack_from
from types import MappingProxyType
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.zipformat import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    ENCRYPTED,
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    FULL16,
    FULL32,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    SIZES_FOLLOW,
    STORED,
    UTF8,
    ZIP64_FIELD,
    codec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from io import BufferedReader
    from pathlib import Path

__all__ = [
    "Damage",
    "DamagedMembersError",
    "Directory",
    "Level",
    "Member",
    "Seen",
    "Stopped",
    "check",
    "damaged_members",
    "not_a_zip",
    "read_members",
]

_MIB = 1024 * 1024
_END_WINDOW = _MIB
_LARGEST_DIRECTORY = 256 * _MIB

_METHOD_NAMES = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}

_TEXT = rb"(?is)\A(?:\xef\xbb\xbf)?\s*"
_LOOKS = (
    (rb"\A\Z", "an empty file"),
    (rb"\A\x00+\Z", "zeros"),
    (re.escape(END_SIGNATURE), "an empty ZIP archive"),
    (rb"\x1f\x8b", "gzip data"),
    (_TEXT + rb"(?=<).*?<(?:!doctype\s+)?html\b", "an HTML page"),
    (_TEXT + rb"<[?!a-z]", "an XML document"),
    (_TEXT + rb"[{\[]\s*[\[\]{}\"\w-]", "JSON"),
)


class Level(StrEnum):
    """What verification includes; each level includes those below it."""

    CRC = "crc"
    """Every member is read, unpacked and compared with its CRC-32."""

    STRUCTURE = "structure"
    """The end record and the central directory are whole, and every member fits in the file."""

    SIZE = "size"
    """The length, where it is known, and the first bytes."""


class Stopped(Exception):  # noqa: N818 - nothing is wrong with the archive: the caller asked to stop
    """`stop()` turned true; the archive was neither accepted nor refused."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory.

    Attributes
    ----------
    name
        As the directory has it: UTF-8 where flag bit 11 says so, code page 437 otherwise.
    method
        Compression method; 0 is stored, 8 is deflated.
    flags
        General purpose bit flag.
    crc
        CRC-32 of the unpacked data.
    compressed, uncompressed
        Length of the packed and of the unpacked data in bytes.
    header
        Offset of the local header in bytes from the beginning of the file.
    """

    name: str
    method: int
    flags: int
    crc: int
    compressed: int
    uncompressed: int
    header: int

    @property
    def readable(self) -> bool:
        """Whether the data can be unpacked here: stored or deflated, and not encrypted."""
        return self.method in (STORED, DEFLATED) and not self.flags & ENCRYPTED


@dataclass(frozen=True, slots=True)
class Directory:
    """What the central directory says.

    Attributes
    ----------
    members
        In the order in which they lie in the file; at least one.
    start
        Offset of the central directory in bytes; no member reaches beyond it.
    warnings
        What is odd and no reason to refuse, in words.
    """

    members: tuple[Member, ...]
    start: int
    warnings: tuple[str, ...] = ()

    def extents(self) -> Iterator[tuple[Member, int]]:
        """Pair each member with the offset, in bytes, of what follows it."""
        following = chain((member.header for member in islice(self.members, 1, None)), (self.start,))
        return zip(self.members, following, strict=True)


@dataclass(frozen=True, slots=True)
class Damage:
    """A member that is not what the directory says, and the bytes that would have to be fetched again.

    Attributes
    ----------
    name
        The member's name.
    start, end
        Its first byte in the archive and the first byte of what follows it.
    problem
        What is wrong with it, in words.
    """

    name: str
    start: int
    end: int
    problem: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The data of a stored member as they were written.

    Attributes
    ----------
    data
        Their offset in bytes from the beginning of the file.
    length
        How many bytes they are.
    crc
        Their CRC-32.
    """

    data: int
    length: int
    crc: int


class DamagedMembersError(IntegrityError):
    """The archive's structure is right and some of its members are not.

    Parameters
    ----------
    damaged
        The damaged members, in the order in which they lie in the file.
    members
        How many members the archive has.
    """

    def __init__(self, damaged: tuple[Damage, ...], members: int) -> None:
        self.damaged = damaged
        named = "; ".join(f"{_quoted(damage.name)} ({damage.problem})" for damage in damaged[:3])
        more = f"; and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        super().__init__(f"{len(damaged)} of {_counted(members, 'member')} damaged: {named}{more}")


def _never() -> bool:
    return False


def check(
    path: Path,
    *,
    size: int | None = None,
    level: Level = Level.CRC,
    stop: Callable[[], bool] = _never,
    block: int = _MIB,
    seen: Mapping[int, Seen] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Verify that a file is the whole and right archive.

    Parameters
    ----------
    path
        The file.
    size
        The length in bytes that it must have; None when it is not known.
    level
        How much to verify.
    stop
        Looked at before every block and every entry; verification ends soon after it turns true.
    block
        Bytes to read, and at most to unpack, in one piece.
    seen
        Data that need not be read again, by the offset of the local header before them.

    Returns
    -------
    tuple of str
        Warnings, in words; empty when there is nothing to say.

    Raises
    ------
    IntegrityError
        The file is not the product; a `DamagedMembersError` when only some of its members are bad.
    Stopped
        `stop()` turned true.
    OSError
        The file cannot be read.
    """
    _check_head_and_length(path, size)
    if level is Level.SIZE:
        return ()
    directory = read_members(path, stop=stop)
    if level is Level.STRUCTURE:
        return directory.warnings
    if damaged := tuple(damaged_members(path, directory, stop=stop, block=block, seen=seen)):
        raise DamagedMembersError(damaged, len(directory.members))
    return directory.warnings + tuple(_unread(directory.members))


def not_a_zip(head: bytes) -> str | None:
    """Say what a file looks like that is not a ZIP archive.

    Parameters
    ----------
    head
        Its first bytes, at least 4 unless it is shorter; some hundreds tell HTML from XML.

    Returns
    -------
    str or None
        A short phrase such as ``"an HTML page"``; None when a local header begins here, as it must.
    """
    if head.startswith(LOCAL_SIGNATURE):
        return None
    for pattern, looks in _LOOKS:
        if re.match(pattern, head):
            return looks
    return f"bytes {head[:4].hex()}..."


def read_members(path: Path, *, stop: Callable[[], bool] = _never) -> Directory:
    """Read the central directory and hold it against the file.

    Members may not share a byte, so that all of them together are never larger than the file.

    Parameters
    ----------
    path
        The file.
    stop
        Looked at before every entry.

    Raises
    ------
    IntegrityError
        There is no whole directory, or it cannot be that of this file.
    Stopped
        `stop()` turned true.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        end = _find_end(file)
        members = sorted(_entries(file, end, stop), key=lambda member: member.header)
    if len(members) != end.entries:
        raise IntegrityError(
            f"the end record counts {_counted(end.entries, 'member')}, the directory has {len(members)}"
        )
    surplus = (f"{_counted(end.surplus, 'byte')} after the end record",) if end.surplus else ()
    directory = Directory(tuple(members), end.start, surplus)
    _refuse_overlaps(directory)
    return directory


def damaged_members(
    path: Path,
    directory: Directory,
    *,
    stop: Callable[[], bool] = _never,
    block: int = _MIB,
    seen: Mapping[int, Seen] = MappingProxyType({}),
) -> Iterator[Damage]:
    """Read every member that was not seen before, and yield those that are not what the directory says.

    Of a member that is encrypted or packed with a method other than 0 and 8, the local header is compared
    and the data are not.

    Parameters
    ----------
    path
        The file.
    directory
        What `read_members` returned for this file.
    stop
        Looked at before every member and every block.
    block
        Bytes to read, and at most to unpack, in one piece.
    seen
        As for `check`.

    Raises
    ------
    Stopped
        `stop()` turned true.
    OSError
        The file cannot be read.
    """
    buffer = memoryview(bytearray(block))
    with path.open("rb") as file:
        for member, end in directory.extents():
            _obey(stop)
            try:
                _check_member(file, member, end, buffer, stop, seen.get(member.header))
            except IntegrityError as error:
                yield Damage(member.name, member.header, end, str(error))


def _check_head_and_length(path: Path, size: int | None) -> None:
    with path.open("rb") as file:
        looks = not_a_zip(file.read(1024))
        length = file.seek(0, os.SEEK_END)
    if looks:
        raise IntegrityError(f"expected a ZIP archive with members, found {looks}")
    if size is not None and length != size:
        raise IntegrityError(f"expected {_counted(size, 'byte')}, found {length}")


@dataclass(frozen=True, slots=True)
class _End:
    """What the end record says: where the directory lies, and how many bytes follow the record."""

    start: int
    size: int
    entries: int
    surplus: int


def _find_end(file: BufferedReader) -> _End:
    length = file.seek(0, os.SEEK_END)
    window = min(length, _END_WINDOW)
    tail = _exactly(file, length - window, window)
    records = list(_end_records(tail))
    # When a record ends with the file, an earlier one is the trace of another archive.
    exact = [(at, surplus) for at, surplus in records if surplus == 0]
    problem = IntegrityError(f"no end record in the last {_counted(window, 'byte')}: the archive is cut short")
    for found, (at, surplus) in enumerate(exact or records):
        try:
            return _end_at(file, length - window + at, surplus)
        except IntegrityError as error:
            problem = problem if found else error
    raise problem


def _end_records(tail: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and surplus of what may be end records, the last first.

    The surplus is the number of bytes after the record and its comment; it is negative when the comment is
    cut short.
    """
    at = tail.rfind(END_SIGNATURE, 0, max(0, len(tail) - END.size + len(END_SIGNATURE)))
    while at >= 0:
        comment = END.unpack_from(tail, at)[-1]
        yield at, len(tail) - at - END.size - comment
        at = tail.rfind(END_SIGNATURE, 0, at + len(END_SIGNATURE) - 1)


def _end_at(file: BufferedReader, at: int, surplus: int) -> _End:
    """Read the end record at this offset and check that a directory lies right before it."""
    if surplus < 0:
        raise IntegrityError(f"the comment of the end record lacks its last {_counted(-surplus, 'byte')}")
    _, disk, first_disk, here, entries, size, start, _ = END.unpack(_exactly(file, at, END.size))
    edge = at
    if at >= LOCATOR.size:
        locator = _exactly(file, at - LOCATOR.size, LOCATOR.size)
        if locator.startswith(LOCATOR_SIGNATURE):
            edge, wide = _end64_before(file, at - LOCATOR.size, locator)
            narrow = (disk, first_disk, here, entries, size, start)
            disk, first_disk, here, entries, size, start = _widened(narrow, wide)
    if disk or first_disk or here != entries:
        raise IntegrityError("the archive is one part of several: split archives cannot be used")
    _check_directory_bounds(file, start, size, entries, edge)
    _refuse_another_archive(file, surplus)
    return _End(start, size, entries, surplus)


def _end64_before(file: BufferedReader, at: int, locator: bytes) -> tuple[int, tuple[int, ...]]:
    """Read the ZIP64 end record that the locator at this offset points to: its offset and its six values."""
    _, disk, start, disks = LOCATOR.unpack(locator)
    if disk or disks > 1:
        raise IntegrityError(f"the archive is one part of {disks}: split archives cannot be used")
    if start + END64.size > at:
        raise IntegrityError(f"the ZIP64 end record cannot begin at byte {start}: its locator is at {at}")
    signature, length, _, _, *values = END64.unpack(_exactly(file, start, END64.size))
    if signature != END64_SIGNATURE or start + 12 + length != at:
        raise IntegrityError(f"no ZIP64 end record at byte {start}, where its locator points")
    return start, tuple(values)


def _widened(narrow: Sequence[int], wide: Sequence[int]) -> Iterator[int]:
    full = (FULL16, FULL16, FULL16, FULL16, FULL32, FULL32)
    return (large if small == most else small for small, large, most in zip(narrow, wide, full, strict=True))


def _check_directory_bounds(file: BufferedReader, start: int, size: int, entries: int, edge: int) -> None:
    if not entries:
        raise IntegrityError("the archive has no member")
    if size > _LARGEST_DIRECTORY:
        raise IntegrityError(f"the central directory claims {size} bytes, at most {_LARGEST_DIRECTORY} are read")
    if entries * CENTRAL.size > size:
        raise IntegrityError(f"{_counted(entries, 'member')} cannot fit in a directory of {size} bytes")
    if start + size != edge:
        raise IntegrityError(f"the central directory should end at byte {edge}, it claims {start + size}")
    if _exactly(file, start, len(CENTRAL_SIGNATURE)) != CENTRAL_SIGNATURE:
        raise IntegrityError(f"no central directory at byte {start}, where the end record points")


def _refuse_another_archive(file: BufferedReader, surplus: int) -> None:
    file.seek(-surplus, os.SEEK_END)
    if file.read(len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE:
        raise IntegrityError(f"another archive begins {_counted(surplus, 'byte')} before the end of the file")


def _entries(file: BufferedReader, end: _End, stop: Callable[[], bool]) -> Iterator[Member]:
    at, edge = end.start, end.start + end.size
    while at < edge:
        _obey(stop)
        if at + CENTRAL.size > edge:
            raise IntegrityError(f"the directory entry at byte {at} is cut short")
        signature, *fields = CENTRAL.unpack(_exactly(file, at, CENTRAL.size))
        if signature != CENTRAL_SIGNATURE:
            raise IntegrityError(f"no directory entry at byte {at}, where one should begin")
        name, extra, comment = fields[9:12]
        following = at + CENTRAL.size + name + extra + comment
        if following > edge:
            raise IntegrityError(f"the directory entry at byte {at} is cut short")
        words = _exactly(file, at + CENTRAL.size, name + extra)
        yield _member(fields, words[:name], words[name:])
        at = following


def _member(fields: Sequence[int], raw_name: bytes, extra: bytes) -> Member:
    _, _, flags, method, _, _, crc, compressed, uncompressed, _, _, _, disk, _, _, header = fields
    name = _decoded(raw_name, flags)
    if disk not in (0, FULL16):
        raise IntegrityError(f"{_quoted(name)} begins on disk {disk}: split archives cannot be used")
    sizes = (uncompressed, compressed, header)
    if FULL32 in sizes:
        uncompressed, compressed, header = _widened_sizes(name, sizes, extra)
    return Member(name, method, flags, crc, compressed, uncompressed, header)


def _widened_sizes(name: str, sizes: Sequence[int], extra: bytes) -> Iterable[int]:
    """Take the values that are full from the ZIP64 extra field; without one they mean what they say."""
    at = 0
    while at + 4 <= len(extra):
        field, length = unpack_from("<2H", extra, at)
        if field == ZIP64_FIELD:
            present = extra[at + 4 : at + 4 + length]
            if len(present) < 8 * sizes.count(FULL32):
                raise IntegrityError(f"the ZIP64 field of {_quoted(name)} is cut short")
            wide = iter(unpack_from(f"<{len(present) // 8}Q", present))
            return [next(wide) if size == FULL32 else size for size in sizes]
        at += 4 + length
    return sizes


def _refuse_overlaps(directory: Directory) -> None:
    for member, end in directory.extents():
        least = member.header + LOCAL.size + member.compressed
        if least > end:
            raise IntegrityError(
                f"{_quoted(member.name)} reaches to byte {least} or further, what follows it begins at {end}"
            )


def _check_member(
    file: BufferedReader, member: Member, end: int, buffer: memoryview, stop: Callable[[], bool], seen: Seen | None
) -> None:
    data = _check_local_header(file, member, end)
    if not member.readable:
        return
    if seen is not None and member.method == STORED and (seen.data, seen.length) == (data, member.compressed):
        _compare(member, seen.length, seen.crc)
        return
    file.seek(data)
    pieces: Iterator[bytes | memoryview] = _blocks(file, member.compressed, buffer, stop)
    if member.method == DEFLATED and member.compressed:
        pieces = _inflated(pieces, len(buffer), stop)
    _check_content(member, pieces)


def _check_local_header(file: BufferedReader, member: Member, end: int) -> int:
    """Compare the local header with the directory's entry; return the offset of the data."""
    header = _exactly(file, member.header, LOCAL.size)
    signature, _, flags, method, _, _, crc, compressed, uncompressed, name, extra = LOCAL.unpack(header)
    if signature != LOCAL_SIGNATURE:
        raise IntegrityError("it has no local header")
    data: int = member.header + LOCAL.size + name + extra
    if data + member.compressed > end:
        raise IntegrityError(f"it reaches {_counted(data + member.compressed - end, 'byte')} into what follows")
    if _decoded(_exactly(file, member.header + LOCAL.size, name), member.flags) != member.name:
        raise IntegrityError("its local header has another name")
    if method != member.method:
        raise IntegrityError(f"its local header says method {method}, the directory {member.method}")
    if not (flags | member.flags) & SIZES_FOLLOW:
        local, central = (crc, compressed, uncompressed), (member.crc, member.compressed, member.uncompressed)
        if any(ours not in (theirs, FULL32) for ours, theirs in zip(local, central, strict=True)):
            raise IntegrityError("its local header and the directory differ in CRC-32 or length")
    return data


def _blocks(file: BufferedReader, length: int, buffer: memoryview, stop: Callable[[], bool]) -> Iterator[memoryview]:
    """Yield the next `length` bytes in pieces, each of which is gone when the next one is asked for."""
    while length:
        _obey(stop)
        got = file.readinto(buffer[: min(length, len(buffer))])
        if not got:
            raise IntegrityError("the file became shorter while it was read")
        yield buffer[:got]
        length -= got


def _inflated(pieces: Iterable[bytes | memoryview], most: int, stop: Callable[[], bool]) -> Iterator[bytes]:
    """Unpack a raw deflate stream into pieces of at most `most` bytes."""
    inflater = codec.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in pieces:
            if inflater.eof:
                raise IntegrityError("its deflate stream ends before its data do")
            while piece and not inflater.eof:  # at its end, zlib may leave the same bytes in both tails
                _obey(stop)
                yield inflater.decompress(piece, most)
                piece = inflater.unconsumed_tail
        # The last match may still wait inside, for want of room in the piece before.
        while not inflater.eof and (rest := inflater.decompress(b"", most)):
            yield rest
    except codec.error as error:
        raise IntegrityError(f"its data cannot be inflated: {error}") from error
    if not inflater.eof:
        raise IntegrityError("its deflate stream is cut short")
    if inflater.unused_data:
        raise IntegrityError("its deflate stream ends before its data do")


def _check_content(member: Member, pieces: Iterable[bytes | memoryview]) -> None:
    length = crc = 0
    for piece in pieces:
        length += len(piece)
        crc = codec.crc32(piece, crc)
        if length > member.uncompressed:
            raise IntegrityError(f"it unpacks to more than the {_counted(member.uncompressed, 'byte')} expected")
    _compare(member, length, crc)


def _compare(member: Member, length: int, crc: int) -> None:
    if length != member.uncompressed:
        raise IntegrityError(f"it unpacks to {length} bytes, {member.uncompressed} expected")
    if crc != member.crc:
        raise IntegrityError(f"its CRC-32 is {crc:08x}, {member.crc:08x} expected")


def _unread(members: Iterable[Member]) -> Iterator[str]:
    """Say for each reason why how many members' data were not looked at."""
    for reason, count in Counter(_obstacle(member) for member in members if not member.readable).items():
        subject = "1 member uses" if count == 1 else f"{count} members use"
        whose = "its" if count == 1 else "their"
        yield f"{subject} {reason}, which cannot be read here: {whose} CRC was not checked"


def _obstacle(member: Member) -> str:
    if member.flags & ENCRYPTED:
        return "encryption"
    name = _METHOD_NAMES.get(member.method, "an unusual compression")
    return f"{name} (method {member.method})"


def _exactly(file: BufferedReader, at: int, length: int) -> bytes:
    file.seek(at)
    data = file.read(length)
    if len(data) != length:
        raise IntegrityError(f"the file ends within the {_counted(length, 'byte')} from byte {at} on")
    return data


def _obey(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped


def _decoded(name: bytes, flags: int) -> str:
    return name.decode("utf-8", "surrogateescape") if flags & UTF8 else name.decode("cp437")


def _quoted(name: str) -> str:
    """Quote a name for a message of one line, whatever characters it holds and however long it is."""
    return repr(name if len(name) <= 200 else f"…{name[-199:]}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
