"""The verdict on a file: whether it is the whole and right archive of a product."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import counted, never, quoted
from collgs_async.storage.files import readable
from collgs_async.storage.identity import refuse_another
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_format import END_SIGNATURE, LOCAL, LOCAL_SIGNATURE
from collgs_async.storage.zip_members import Findings, damaged_members
from collgs_async.storage.zip_names import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from collgs_async.storage.zip_directory import Directory
    from collgs_async.storage.zip_members import Damage, KnownCrc

__all__ = ["DamagedMembersError", "Level", "UnprovenError", "Verdict", "describe_non_zip", "verify_archive"]

_MIB: Final = 1024 * 1024

LONGEST_STUB: Final = 64 * 1024
"""Bytes within which the first local header must begin."""

_TEXT = rb"(?is)\A(?:\xef\xbb\xbf)?\s*"
_LOOKS = (
    (rb"\A\Z", "an empty file"),
    (rb"\A\x00+\Z", "zeros"),
    (re.escape(END_SIGNATURE), "an empty ZIP archive"),
    (rb"\x1f\x8b", "gzip data"),
    (_TEXT + rb"(?=<).*?<(?:!doctype\s+)?html\b", "an HTML page"),
    (_TEXT + rb"<[?!a-z]", "an XML document"),
    (_TEXT + rb"[{\[]\s*[\[\]{}\"\w-]", "JSON"),
    (rb"\AHTTP/[0-9]", "an HTTP response"),
    (rb"(?is)\A\s*--[^\r\n]{1,200}\r?\ncontent-", "a multipart body"),
)


class Level(StrEnum):
    """What verification includes; each level includes those below it."""

    CRC = "crc"
    """Every member is read, unpacked and compared with its CRC-32."""

    STRUCTURE = "structure"
    """The end record and the central directory are whole, and every member fits in the file."""

    SIZE = "size"
    """The length, where it is known, the first bytes, and the name of the first member."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an archive that was not refused.

    Attributes
    ----------
    warnings
        What is odd, in words; empty when there is nothing to say.
    unchecked
        How many members' data should have been read and could not be.
    named
        Whether its members, as far as they were read, say which product it is of, or none was expected.
    """

    warnings: tuple[str, ...] = ()
    unchecked: int = 0
    named: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not odd, and yet to be known, in words; empty when there is nothing."""
        return () if self.named else ("the archive does not say which product it is of",)


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
        named = "; ".join(f"{quoted(damage.name)} ({damage.problem})" for damage in damaged[:3])
        more = f"; and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        super().__init__(f"{len(damaged)} of {counted(members, 'member')} damaged: {named}{more}")


class UnprovenError(IntegrityError):
    """Nothing is wrong with the archive, but it may have been joined from two versions.

    Parameters
    ----------
    doubts
        What cannot be proved, in words.
    """

    def __init__(self, doubts: str) -> None:
        super().__init__(f"it was joined from several responses, and may be of two versions: {doubts}")


def verify_archive(
    path: Path,
    *,
    size: int | None = None,
    level: Level = Level.CRC,
    identifier: str | None = None,
    joined: bool = False,
    lenient: bool = False,
    stop: Callable[[], bool] = never,
    block: int = _MIB,
    seen: Mapping[int, KnownCrc] = MappingProxyType({}),
) -> Verdict:
    """Verify that a file is the whole and right archive of a product.

    Parameters
    ----------
    path
        The file.
    size
        The length in bytes that it must have; None when it is not known.
    level
        How much to verify.
    identifier
        The product that it must be of, or the file's final name; None when any will do.
    joined
        Whether nothing but equal bytes at the joints says that all of it is of one version. Then every byte of every
        member must be covered by its CRC-32 or follow from the directory; the level must be `Level.CRC`.
    lenient
        Whether local headers may contradict the directory where the data are what that says. An archive that comes so
        twice was written so; the first time a byte may have been spoilt on the way.
    stop
        Looked at before every block and every entry; verification ends soon after it turns true.
    block
        Bytes to read, and at most to unpack, in one piece.
    seen
        Data that need not be read again, by the offset of the local header before them.

    Raises
    ------
    IntegrityError
        The file is not the product: a `DamagedMembersError` when only some of its members are bad, an
        `OtherProductError` when it is the archive of another product, an `UnprovenError` when it was joined and
        nothing but that speaks against it, an `UnreadableError` when the disk does not give it back.
    Stopped
        `stop()` turned true.
    OSError
        The file cannot be opened.
    """
    with readable():
        first, name = _check_head_and_length(path, size)
        if level is Level.SIZE and first == 0:
            return Verdict(named=_names_product([name], identifier))
        # What does not begin as an archive does has to have a directory that says why.
        directory = read_members(path, stop=stop)
        _refuse_another_beginning(directory, first)
        named = _names_product([member.name for member in directory.members], identifier)
        warnings = tuple(directory.warnings)
        if level is not Level.CRC:
            return Verdict(warnings, named=named)
        findings = Findings(proving=joined)
        damaged = tuple(
            damaged_members(path, directory, findings=findings, lenient=lenient, stop=stop, block=block, seen=seen)
        )
        if damaged:
            raise DamagedMembersError(damaged, len(directory.members))
        if joined and (doubts := "; ".join(_doubts(warnings, findings))):
            raise UnprovenError(doubts)
        return Verdict(warnings + tuple(findings.warnings), findings.unchecked.total(), named)


def describe_non_zip(head: bytes) -> str | None:
    """Say what a file looks like that is not a ZIP archive.

    Parameters
    ----------
    head
        Its first bytes, at least 4 unless it is shorter; some hundreds tell HTML from XML. A local header that has
        bytes before it is found where `head` has it, too.

    Returns
    -------
    str or None
        A short phrase such as ``"an HTML page"``; None when a local header begins here, or behind bytes that look like
        nothing that a server says instead of an archive.
    """
    if head.startswith(LOCAL_SIGNATURE):
        return None
    for pattern, looks in _LOOKS:
        if re.match(pattern, head):
            return looks
    return None if LOCAL_SIGNATURE in head[:LONGEST_STUB] else f"bytes {head[:4].hex()}..."


def _check_head_and_length(path: Path, size: int | None) -> tuple[int, str]:
    """Return where the first local header begins, and the name in it, as far as it is there."""
    with path.open("rb") as file:
        head = file.read(1024)
        if not head.startswith(LOCAL_SIGNATURE):
            head += file.read(LONGEST_STUB - len(head))
        length = file.seek(0, os.SEEK_END)
        if looks := describe_non_zip(head):
            raise IntegrityError(f"expected a ZIP archive with members, found {looks}")
        if size is not None and length != size:
            raise IntegrityError(f"expected {counted(size, 'byte')}, found {length}")
        first = head.index(LOCAL_SIGNATURE)
        file.seek(first)
        header = file.read(LOCAL.size)
        if len(header) < LOCAL.size:
            return first, ""
        flags, name = (LOCAL.unpack(header)[field] for field in (2, 9))
        return first, decoded(file.read(name), flags)


def _refuse_another_beginning(directory: Directory, first: int) -> None:
    """Refuse bytes before the first member that are another archive's, or in place of what was there."""
    begins = directory.members[0].header
    if (first or directory.shift) and begins != first:
        raise IntegrityError(f"a member begins at byte {first}, the first one of the directory at {begins}")


def _names_product(names: list[str], identifier: str | None) -> bool:
    return identifier is None or refuse_another(names, identifier)


def _doubts(warnings: tuple[str, ...], findings: Findings) -> Iterator[str]:
    yield from warnings
    if unchecked := findings.unchecked.total():
        yield f"{counted(unchecked, 'member')} could not be checked"
    if findings.unproven:
        yield f"of {counted(findings.unproven, 'member')} the directory does not tell every byte"
