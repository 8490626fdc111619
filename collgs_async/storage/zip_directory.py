"""Read the central directory of a ZIP archive, and check it against the file.

The directory is located from the end of the file (APPNOTE.TXT §4.3.16). Like other readers, this one accepts bytes
before the first member and after the end record, such as a self-extractor's stub, a byte order mark, or the marker of
spanned archives (APPNOTE.TXT §8.5.3), whether or not the offsets include them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from struct import unpack_from
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import MissingBytesError, SparseFile, check_cancelled, exactly, never, quoted
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_format import (
    BZIP2,
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
    LZMA,
    STORED,
    ZIP64_FIELD,
    extra_fields,
)
from collgs_async.storage.zip_names import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Directory", "Member", "members_of_tail", "read_members"]

_MIB = 1024 * 1024
_END_WINDOW = _MIB
_FIRST_WINDOW = 64 * 1024
_LARGEST_DIRECTORY = 256 * _MIB
_READABLE = frozenset({STORED, DEFLATED, BZIP2, LZMA})


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the central directory.

    Attributes
    ----------
    name
        Name in the directory, decoded as UTF-8 if flag bit 11 is set, otherwise from code page 437.
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
    version
        Version needed to extract.
    modified
        Date and time of the last change in MS-DOS format, with the date in the upper 16 bits.
    extra
        Extra fields of the directory entry.
    """

    name: str
    method: int
    flags: int
    crc: int
    compressed: int
    uncompressed: int
    header: int
    version: int = 20
    modified: int = 0
    extra: bytes = b""

    @property
    def readable(self) -> bool:
        """Whether the data can be unpacked here: methods 0, 8, 12 (bzip2) and 14 (LZMA), not encrypted."""
        return self.method in _READABLE and not self.flags & ENCRYPTED


@dataclass(frozen=True, slots=True)
class Directory:
    """The central directory.

    Attributes
    ----------
    members
        The members in the order of the file; at least one.
    start
        Offset of the central directory in bytes; no member reaches beyond it.
    shift
        Bytes before the archive that its offsets do not include.
    surplus
        Bytes after the end record and its comment.
    """

    members: tuple[Member, ...]
    start: int
    shift: int = 0
    surplus: int = 0

    @property
    def warnings(self) -> Iterator[str]:
        """Yield descriptions of harmless peculiarities."""
        if before := self.members[0].header:
            yield f"{plural(before, 'byte')} before the first member"
        if self.surplus:
            yield f"{plural(self.surplus, 'byte')} after the end record"

    def extents(self) -> Iterator[tuple[Member, int]]:
        """Pair each member with the offset in bytes of the next member or of the directory."""
        following = chain((member.header for member in islice(self.members, 1, None)), (self.start,))
        return zip(self.members, following, strict=True)


def read_members(path: Path, *, held: ByteRanges | None = None, stop: Callable[[], bool] = never) -> Directory:
    """Read the central directory and check it against the file.

    Members must not overlap, so that together they are never larger than the file.

    Parameters
    ----------
    path
        The file.
    held
        Ranges of its bytes that are here, if it is a sparse file with the length of the whole archive; None: all of
        them. The end record is then sought in the last 64 KiB first, and in the last 1 MiB if it is not there, or if
        bytes follow it.
    stop
        Called before every entry; returns True to cancel.

    Raises
    ------
    MissingBytesError
        Bytes outside `held` are needed, which are named; of a directory, all of it at once.
    IntegrityError
        The directory is missing, incomplete, or does not match the file.
    Stopped
        `stop()` returned True.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as opened:
        file = SparseFile(opened, held)
        directory, edge = _read_directory(file, stop)
        if directory.shift and exactly(file, directory.members[0].header, len(LOCAL_SIGNATURE)) != LOCAL_SIGNATURE:
            raise IntegrityError(f"the central directory should end at byte {edge}, it claims {edge - directory.shift}")
    return directory


def members_of_tail(tail: bytes, size: int, *, stop: Callable[[], bool] = never) -> Directory:
    """Read the central directory from the end of an archive that `read_members` has accepted before.

    Parameters
    ----------
    tail
        The last bytes of the archive, from its central directory on.
    size
        Length of the archive in bytes.
    stop
        As for `read_members`.

    Raises
    ------
    IntegrityError
        They are not the end of such an archive.
    Stopped
        `stop()` returned True.
    """
    base = size - len(tail)
    if base < 0:
        raise IntegrityError(f"{plural(len(tail), 'byte')} are not the end of an archive of {size}")
    try:
        return _read_directory(SparseFile(BytesIO(tail), ByteRanges([(base, size)]), base), stop)[0]
    except MissingBytesError as error:
        raise IntegrityError(f"they do not hold the whole central directory: {error}") from error


def _read_directory(file: SparseFile, stop: Callable[[], bool]) -> tuple[Directory, int]:
    """Return the directory and the offset of its end."""
    end = _find_end(file)
    members = sorted(_entries(file, end, stop), key=lambda member: member.header)
    if not _counts(end.entries, len(members)):
        raise IntegrityError(f"the end record counts {plural(end.entries, 'member')}, the directory has {len(members)}")
    directory = Directory(tuple(members), end.start, end.shift, end.surplus)
    _refuse_overlaps(directory)
    return directory, end.edge


def _counts(stated: int, found: int) -> bool:
    """Whether the end record's count matches; some writers truncate a larger count to 16 bits."""
    return stated == found or (found > FULL16 and stated == found & FULL16)


@dataclass(frozen=True, slots=True)
class _End:
    """Values of the end record: start and end of the directory, and the number of bytes after the record."""

    start: int
    edge: int
    entries: int
    shift: int
    surplus: int


def _find_end(file: SparseFile) -> _End:
    longest = file.length - file.base
    if file.held is not None:
        at_end = file.length - file.held.held_before(file.length, _FIRST_WINDOW)
        for window in sorted({at_end, _FIRST_WINDOW} - {0}):
            # Only a record that ends exactly at the end of the file would also be the first choice in a larger window.
            if window < longest:
                with suppress(IntegrityError):
                    return _find_end_within(file, window, only_exact=True)
    return _find_end_within(file, min(longest, _END_WINDOW))


def _find_end_within(file: SparseFile, window: int, *, only_exact: bool = False) -> _End:
    tail = exactly(file, file.length - window, window)
    records = list(_end_records(tail))
    # If a record ends exactly at the end of the file, an earlier one is a remnant of another archive.
    exact = [(at, surplus) for at, surplus in records if surplus == 0]
    problem = IntegrityError(f"no end record in the last {plural(window, 'byte')}: the archive is cut short")
    for found, (at, surplus) in enumerate(exact if exact or only_exact else records):
        try:
            return _end_at(file, file.length - window + at, surplus)
        except IntegrityError as error:
            problem = problem if found else error
    raise problem


def _end_records(tail: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and surplus of possible end records, the last one first.

    The surplus is the number of bytes after the record and its comment; it is negative if the comment is truncated.
    """
    at = tail.rfind(END_SIGNATURE, 0, max(0, len(tail) - END.size + len(END_SIGNATURE)))
    while at >= 0:
        comment = END.unpack_from(tail, at)[-1]
        yield at, len(tail) - at - END.size - comment
        at = tail.rfind(END_SIGNATURE, 0, at + len(END_SIGNATURE) - 1)


def _end_at(file: SparseFile, at: int, surplus: int) -> _End:
    """Read the end record at this offset, and find the directory right before it or before the ZIP64 end record."""
    if surplus < 0:
        raise IntegrityError(f"the comment of the end record lacks its last {plural(-surplus, 'byte')}")
    _, disk, first_disk, here, entries, size, start, _ = END.unpack(exactly(file, at, END.size))
    narrow = (disk, first_disk, here, entries, size, start)
    if at >= LOCATOR.size:
        locator = exactly(file, at - LOCATOR.size, LOCATOR.size)
        if locator.startswith(LOCATOR_SIGNATURE):
            try:
                edge, shift, wide = _end64_before(file, at - LOCATOR.size, locator)
                end = _place_directory(file, edge, tuple(_widened(narrow, wide)), surplus)
                if end.shift == shift or not shift:
                    return end
                raise _no_end64(edge - shift)
            except IntegrityError as error:
                # The locator's signature may be part of a name or comment. Then a directory ends at the end record;
                # otherwise there is none, and the first error is the right one.
                with suppress(IntegrityError):
                    return _place_directory(file, at, narrow, surplus)
                raise error from None
    return _place_directory(file, at, narrow, surplus)


def _end64_before(file: SparseFile, at: int, locator: bytes) -> tuple[int, int, tuple[int, ...]]:
    """Read the ZIP64 end record that the locator at this offset points to.

    Returns
    -------
    tuple
        Its offset, the difference to the offset in the locator, and its six values.
    """
    _, disk, stated, disks = LOCATOR.unpack(locator)
    if disk or disks > 1:
        raise IntegrityError(f"the archive is one part of {disks}: split archives cannot be used")
    if stated + END64.size > at:
        raise IntegrityError(f"the ZIP64 end record cannot begin at byte {stated}: its locator is at {at}")
    for start in (stated, at - END64.size):  # the latter if the offset does not include bytes before the archive
        if start < file.base:
            continue
        signature, length, _, _, *values = END64.unpack(exactly(file, start, END64.size))
        if signature == END64_SIGNATURE and start + 12 + length == at:
            return start, start - stated, tuple(values)
    raise _no_end64(stated)


def _no_end64(stated: int) -> IntegrityError:
    return IntegrityError(f"no ZIP64 end record at byte {stated}, where its locator points")


def _widened(narrow: Sequence[int], wide: Sequence[int]) -> Iterator[int]:
    full = (FULL16, FULL16, FULL16, FULL16, FULL32, FULL32)
    return (large if small == most else small for small, large, most in zip(narrow, wide, full, strict=True))


def _place_directory(file: SparseFile, edge: int, values: Sequence[int], surplus: int) -> _End:
    """Check that a directory with these values ends at this offset, allowing for bytes before the archive."""
    disk, first_disk, here, entries, size, start = values
    if disk or first_disk or here != entries:
        raise IntegrityError("the archive is one part of several: split archives cannot be used")
    if not entries:
        raise IntegrityError("the archive has no member")
    if size > _LARGEST_DIRECTORY:
        raise IntegrityError(f"the central directory claims {size} bytes, at most {_LARGEST_DIRECTORY} are read")
    if entries * CENTRAL.size > size:
        raise IntegrityError(f"{plural(entries, 'member')} cannot fit in a directory of {plural(size, 'byte')}")
    shift = edge - size - start
    if shift < 0:
        raise IntegrityError(f"the central directory should end at byte {edge}, it claims {start + size}")
    file.require(start + shift, edge)
    if exactly(file, start + shift, len(CENTRAL_SIGNATURE)) != CENTRAL_SIGNATURE:
        if shift:
            raise IntegrityError(f"the central directory should end at byte {edge}, it claims {start + size}")
        raise IntegrityError(f"no central directory at byte {start}, where the end record points")
    _refuse_another_archive(file, surplus)
    return _End(start + shift, edge, entries, shift, surplus)


def _refuse_another_archive(file: SparseFile, surplus: int) -> None:
    file.seek(file.length - surplus)
    if file.read(len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE:
        raise IntegrityError(f"another archive begins {plural(surplus, 'byte')} before the end of the file")


def _entries(file: SparseFile, end: _End, stop: Callable[[], bool]) -> Iterator[Member]:
    at, edge = end.start, end.edge
    while at < edge:
        check_cancelled(stop)
        if at + CENTRAL.size > edge:
            raise IntegrityError(f"the directory entry at byte {at} is cut short")
        signature, *fields = CENTRAL.unpack(exactly(file, at, CENTRAL.size))
        if signature != CENTRAL_SIGNATURE:
            raise IntegrityError(f"no directory entry at byte {at}, where one should begin")
        name, extra, comment = fields[9:12]
        following = at + CENTRAL.size + name + extra + comment
        if following > edge:
            raise IntegrityError(f"the directory entry at byte {at} is cut short")
        words = exactly(file, at + CENTRAL.size, name + extra)
        yield _member(fields, words[:name], words[name:], end.shift)
        at = following


def _member(fields: Sequence[int], raw_name: bytes, extra: bytes, shift: int) -> Member:
    _, version, flags, method, time, date, crc, compressed, uncompressed, _, _, _, disk, _, _, header = fields
    name = decoded(raw_name, flags)
    if disk not in (0, FULL16):
        raise IntegrityError(f"{quoted(name)} begins on disk {disk}: split archives cannot be used")
    sizes = (uncompressed, compressed, header)
    if FULL32 in sizes:
        uncompressed, compressed, header = _widened_sizes(name, sizes, extra)
    modified = date << 16 | time
    return Member(name, method, flags, crc, compressed, uncompressed, header + shift, version, modified, extra)


def _widened_sizes(name: str, sizes: Sequence[int], extra: bytes) -> Iterable[int]:
    """Replace values of 0xFFFFFFFF by those of the ZIP64 extra field; without such a field they are kept."""
    for field, present in extra_fields(extra):
        if field == ZIP64_FIELD:
            if len(present) < 8 * sizes.count(FULL32):
                raise IntegrityError(f"the ZIP64 field of {quoted(name)} is cut short")
            wide = iter(unpack_from(f"<{len(present) // 8}Q", present))
            return [next(wide) if size == FULL32 else size for size in sizes]
    return sizes


def _refuse_overlaps(directory: Directory) -> None:
    for member, end in directory.extents():
        min_end = member.header + LOCAL.size + member.compressed
        if min_end > end:
            raise IntegrityError(
                f"{quoted(member.name)} reaches to byte {min_end} or further, what follows it begins at {end}"
            )
