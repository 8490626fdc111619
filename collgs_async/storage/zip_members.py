"""Check the members of a ZIP archive: local headers against the directory, data against their CRC-32.

The CRC of the data decides. A local header that states less than the directory, or has the name in another encoding, is
a harmless peculiarity. One that contradicts the directory counts as damage, although the archive may have been written
like that.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import check_cancelled, never
from collgs_async.storage.hashed_reader import HashedReader, open_hashed
from collgs_async.storage.local_header import (
    describe_contradiction,
    follows_from_directory,
    is_empty,
    lengths,
    read_local_header,
)
from collgs_async.storage.unpack import TooLargeError, Unpacking
from collgs_async.storage.zip_format import DEFLATED, ENCRYPTED, SIZES_FOLLOW, STORED, codec
from collgs_async.storage.zip_names import canonical, decoded, encoded, spell_the_same, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    from collgs_async.storage.local_header import LocalHeader
    from collgs_async.storage.manifest_check import ManifestCheck
    from collgs_async.storage.zip_directory import Directory, Member

__all__ = ["Damage", "Findings", "KnownCrc", "MemberReader", "damaged_members", "method_name"]

_MIB: Final = 1024 * 1024
_METHOD_NAMES = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}

_PACKED_BEST: Final = 1032
"""Maximum compression ratio of deflate. bzip2 and LZMA have no such limit, so the total that they may unpack to in one
archive is limited to what a deflate stream of the archive's length could unpack to, plus `_ALWAYS_UNPACKED`."""

_CONTRADICTED: Final = "another CRC-32, length or method in the local header"

_ALWAYS_UNPACKED: Final = 1024 * _MIB


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged member, and the range that has to be downloaded again.

    Attributes
    ----------
    name
        The member's name.
    start, end
        Offsets of its first byte, and of the first byte after it.
    problem
        Description of the damage.
    header_only
        Whether only its local header is wrong, and its data are correct.
    """

    name: str
    start: int
    end: int
    problem: str
    header_only: bool = False


@dataclass(frozen=True, slots=True)
class KnownCrc:
    """CRC-32 of the data of a stored member, computed while they were written.

    Attributes
    ----------
    data
        Offset of the data in bytes from the beginning of the file.
    length
        Length of the data in bytes.
    crc
        CRC-32 of the data.
    """

    data: int
    length: int
    crc: int


@dataclass(slots=True)
class Findings:
    """Peculiarities of members that are not damaged.

    Attributes
    ----------
    odd
        Number of members that differ harmlessly from the directory, by the kind of difference.
    unchecked
        Number of members whose data could not be checked, by the reason.
    proving
        Whether to look for bytes that neither follow from the directory nor are covered by a CRC.
    unproven
        Number of members with such bytes.
    """

    odd: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    proving: bool = False
    unproven: int = 0

    @property
    def warnings(self) -> Iterator[str]:
        """Yield a description of each kind, with the number of members."""
        for oddity, count in self.odd.items():
            yield f"{plural(count, 'member')}: {oddity}"
        for reason, count in self.unchecked.items():
            subject = "1 member uses" if count == 1 else f"{count} members use"
            whose = "its" if count == 1 else "their"
            yield f"{subject} {reason}, which cannot be read here: {whose} CRC was not checked"


def damaged_members(
    path: Path,
    directory: Directory,
    *,
    findings: Findings | None = None,
    lenient: bool = False,
    stop: Callable[[], bool] = never,
    block: int = _MIB,
    seen: Mapping[int, KnownCrc] = MappingProxyType({}),
    manifests: ManifestCheck | None = None,
    digest: Any = None,
) -> Iterator[Damage]:
    """Check every member, and yield the damaged ones.

    If a member is encrypted, or packed with an unsupported method, only its local header is checked.

    Parameters
    ----------
    path
        The file.
    directory
        Result of `read_members` for this file.
    findings
        Collects further findings; None to discard them.
    lenient, seen
        As for `verify_archive`.
    stop
        Called before every member and every block; returns True to cancel.
    block
        Maximum bytes to read, or to unpack, at once.
    manifests
        Compares the members with the product's own manifest, too; None: they are not compared.
    digest
        An object of `hashlib`, which gets the whole file in the same pass; None: it is not computed.

    Raises
    ------
    Stopped
        `stop()` returned True.
    OSError
        The file cannot be read.
    """
    if manifests is not None:
        with path.open("rb") as file:
            MemberReader(file, directory, Findings(), block, stop).read_manifests(manifests)
    with open_hashed(path, digest, stop) as file:
        reader = MemberReader(file, directory, findings or Findings(), block, stop, manifests)
        for member, end in directory.extents():
            check_cancelled(stop)
            try:
                contradiction = reader.check(member, end, seen.get(member.header))
            except IntegrityError as error:
                yield Damage(member.name, member.header, end, str(error))
            else:
                if contradiction and lenient:
                    reader.findings.odd[_CONTRADICTED] += 1
                elif contradiction:
                    yield Damage(member.name, member.header, end, contradiction, header_only=True)
        if isinstance(file, HashedReader):
            file.finish()


class MemberReader:
    """Reads the members of one open archive.

    Parameters
    ----------
    file
        The archive.
    directory
        Its directory.
    findings
        Collects findings of `check`.
    block
        Maximum bytes to read, or to unpack, at once.
    stop
        Called before every block; returns True to cancel.
    manifests
        As for `damaged_members`.
    """

    def __init__(
        self,
        file: BufferedReader,
        directory: Directory,
        findings: Findings,
        block: int,
        stop: Callable[[], bool],
        manifests: ManifestCheck | None = None,
    ) -> None:
        self._file = file
        self._directory = directory
        self.findings = findings
        self._buffer = memoryview(bytearray(block))
        self._stop = stop
        self._surplus = False
        self._may_unpack = _ALWAYS_UNPACKED + _PACKED_BEST * directory.start
        self._manifests = manifests

    def read_manifests(self, manifests: ManifestCheck) -> None:
        """Read the manifests, before any member is compared with them."""
        wanted = frozenset(manifests.manifests)
        for member, end in self._directory.extents():
            if member.name in wanted:
                manifests.read(member.name, self._content(member, end))

    def _content(self, member: Member, end: int) -> Iterator[bytes | memoryview]:
        """Yield the data of a member; every reason why they cannot be read is an `IntegrityError`."""
        local, _, _ = self.compare(member, end)
        if not member.readable:
            raise IntegrityError(f"it uses {'encryption' if member.flags & ENCRYPTED else method_name(member)}")
        try:
            yield from self.unpack(member, local.data)
        except TooLargeError:
            raise IntegrityError(f"it uses {method_name(member)} with too large a dictionary") from None

    def check(self, member: Member, end: int, seen: KnownCrc | None) -> str | None:
        """Raise `IntegrityError` if a member is damaged, and record other findings.

        Returns
        -------
        str or None
            Description of a contradiction between local header and directory if the data are correct; otherwise None.
        """
        local, oddities, contradiction = self.compare(member, end)
        obstacle = self._obstacle(member)
        if obstacle is None:
            try:
                oddities += self._check_data(member, local.data, seen)
            except TooLargeError:
                obstacle = method_name(member)
        if oddities:
            self.findings.odd.update(oddities)
        if obstacle is not None:
            self.findings.unchecked[obstacle] += 1
            if contradiction:
                raise IntegrityError(contradiction)
        elif self.findings.proving and (
            oddities or contradiction or not follows_from_directory(self._file, member, local, end)
        ):
            self.findings.unproven += 1
        return contradiction

    def compare(self, member: Member, end: int) -> tuple[LocalHeader, list[str], str | None]:
        """Read the local header of a member that ends before an offset, and compare it with the directory.

        Returns
        -------
        tuple
            The header, its harmless differences from the directory, and the description of a contradiction or None.

        Raises
        ------
        IntegrityError
            The header is missing, or another member's, or the data would reach beyond the end.
        """
        local = read_local_header(self._file, member, end)
        facts = (local.method, local.crc, local.compressed, local.uncompressed, decoded(local.name, member.flags))
        if facts == (member.method, member.crc, member.compressed, member.uncompressed, member.name):
            return local, [], None
        return local, list(self._differences(member, local)), describe_contradiction(member, local)

    def _obstacle(self, member: Member) -> str | None:
        """Return the reason why a member's data cannot be checked; None if they can."""
        if member.flags & ENCRYPTED:
            return "encryption"
        if not member.readable:
            return method_name(member)
        if member.method not in (STORED, DEFLATED):
            if member.uncompressed > self._may_unpack:
                return method_name(member)
            self._may_unpack -= member.uncompressed
        return None

    def _differences(self, member: Member, local: LocalHeader) -> Iterator[str]:
        """Yield harmless differences between a local header and the directory entry."""
        if decoded(local.name, member.flags) != member.name:
            self._refuse_another_name(member, local)
            yield "another spelling of the name in the local header"
        if local.method != member.method and is_empty(member):
            yield "empty, with another method in the local header"
        if not (local.flags | member.flags) & SIZES_FOLLOW and any(
            stated == 0 != true for stated, true in zip(lengths(local), lengths(member), strict=True)
        ):
            yield "no CRC-32 or length in the local header"

    def _refuse_another_name(self, member: Member, local: LocalHeader) -> None:
        name = encoded(member.name, member.flags)
        ours = spellings(local.name, local.flags, local.extra)
        theirs = spellings(name, member.flags, member.extra)
        if (ours - theirs) & self._names or not spell_the_same(local.name, ours, name, theirs):
            raise IntegrityError("its local header has another name")

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(canonical(member.name) for member in self._directory.members)

    def _check_data(self, member: Member, data: int, seen: KnownCrc | None) -> Iterator[str]:
        """Check the data against their length and CRC-32; yield harmless peculiarities."""
        if member.method == STORED and seen is not None:
            known = (seen.data, seen.length)
            if known == (data, member.compressed) and member.compressed <= member.uncompressed:
                _compare_content(member, seen.length, seen.crc)
                return
        content = self.unpack(member, data)
        digests = self._manifests.digests_of(member.name) if self._manifests else None
        deque(digests.observe(content) if digests else content, maxlen=0)
        if self._surplus:
            yield "bytes after the end of the packed data"

    def unpack(self, member: Member, data: int) -> Iterator[bytes | memoryview]:
        """Yield the data of a member in pieces of limited length, each of which is valid until the next one.

        Parameters
        ----------
        member
            A member that is readable.
        data
            Offset of its packed data in bytes.

        Raises
        ------
        IntegrityError
            The data are damaged, are longer than the directory says, or, at their end, have another CRC-32 than in
            the directory; no piece is yielded that reaches beyond the length in the directory.
        TooLargeError
            Unpacking would need too much memory.
        """
        # A stored member may have bytes after its data that are included in the compressed length.
        length = min(member.compressed, member.uncompressed) if member.method == STORED else member.compressed
        self._file.seek(data)
        pieces: Iterable[bytes | memoryview] = self._blocks(length)
        if member.method != STORED and member.compressed:
            pieces = Unpacking(member, pieces, len(self._buffer), self._stop)
        yield from _checked(member, pieces)
        self._surplus = length < member.compressed or (isinstance(pieces, Unpacking) and pieces.surplus)

    def _blocks(self, length: int) -> Iterator[memoryview]:
        """Yield the next `length` bytes in pieces; each piece is valid only until the next one is requested."""
        while length:
            check_cancelled(self._stop)
            got = self._file.readinto(self._buffer[: min(length, len(self._buffer))])
            if not got:
                raise IntegrityError("the file became shorter while it was read")
            yield self._buffer[:got]
            length -= got


def _checked(member: Member, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    length = crc = 0
    for piece in pieces:
        length += len(piece)
        if length > member.uncompressed:
            raise IntegrityError(f"it unpacks to more than the {plural(member.uncompressed, 'byte')} expected")
        crc = codec.crc32(piece, crc)
        yield piece
    _compare_content(member, length, crc)


def _compare_content(member: Member, length: int, crc: int) -> None:
    if length != member.uncompressed:
        raise IntegrityError(f"it unpacks to {plural(length, 'byte')}, {member.uncompressed} expected")
    if crc != member.crc:
        raise IntegrityError(f"its CRC-32 is {crc:08x}, {member.crc:08x} expected")


def method_name(member: Member) -> str:
    """Return the name and number of a member's compression method."""
    name = _METHOD_NAMES.get(member.method, "an unusual compression")
    return f"{name} (method {member.method})"
