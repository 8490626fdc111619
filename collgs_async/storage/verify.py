"""Verify that a file is the complete and correct archive of a product."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import never, quoted
from collgs_async.storage.files import readable
from collgs_async.storage.identity import refuse_another
from collgs_async.storage.manifest_check import ManifestCheck
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_format import END_SIGNATURE, LOCAL, LOCAL_SIGNATURE
from collgs_async.storage.zip_members import Findings, damaged_members
from collgs_async.storage.zip_names import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from collgs_async.storage.zip_directory import Directory
    from collgs_async.storage.zip_members import Damage, KnownCrc

__all__ = [
    "DamagedMembersError",
    "Level",
    "ManifestError",
    "UnprovenError",
    "Verdict",
    "describe_non_zip",
    "verify_archive",
]

_MIB: Final = 1024 * 1024

LONGEST_STUB: Final = 64 * 1024
"""Maximum bytes before the first local header."""

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
    """How much is verified; each level includes those below it."""

    CRC = "crc"
    """Every member is unpacked and compared with its CRC-32."""

    STRUCTURE = "structure"
    """The end record and the central directory are complete, and every member fits in the file."""

    SIZE = "size"
    """The length, if known, the first bytes, and the name of the first member."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of verifying an archive that was accepted.

    Attributes
    ----------
    warnings
        Descriptions of harmless peculiarities.
    unchecked
        Number of members whose data could not be checked, such as encrypted ones.
    named
        Whether the names of its members identify a product, or none was expected.
    remarks
        Facts about the tree of its members, if it is not here as a whole, and about its manifest, if it is compared.
    compared
        Number of members that have the digests that the product's manifest states.
    unlisted
        Number of members that the manifest does not list; 0 if there is none, or nothing was compared.
    has_manifest
        Whether the members were compared with a manifest.
    sha256
        SHA-256 of the archive in hexadecimal digits; None: not computed.
    """

    warnings: tuple[str, ...] = ()
    unchecked: int = 0
    named: bool = True
    remarks: tuple[str, ...] = ()
    compared: int = 0
    unlisted: int = 0
    has_manifest: bool = False
    sha256: str | None = None

    def with_manifest(self, check: ManifestCheck) -> Verdict:
        """Return it with the result of comparing the members with their manifest."""
        return replace(
            self,
            remarks=(*self.remarks, *check.remarks),
            compared=check.compared,
            unlisted=check.unlisted if check.manifests else 0,
            has_manifest=bool(check.manifests),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Facts that are no peculiarity, but worth reporting."""
        return self.remarks if self.named else (*self.remarks, "the archive does not say which product it is of")


class DamagedMembersError(IntegrityError):
    """The archive's structure is correct, but some of its members are damaged.

    Parameters
    ----------
    damaged
        The damaged members, in the order of the file.
    members
        Number of members of the archive.
    beside
        What else is wrong, in words.
    rest
        Bytes that have to be downloaded with the members, as ``(first, one past the last)``; see `ManifestError`.
    """

    def __init__(
        self,
        damaged: tuple[Damage, ...],
        members: int,
        beside: Iterable[str] = (),
        rest: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.damaged, self.rest = damaged, rest
        named = "; ".join(f"{quoted(damage.name)} ({damage.problem})" for damage in damaged[:3])
        more = f"; and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        also = "".join(f"; {words}" for words in beside)
        super().__init__(f"{len(damaged)} of {plural(members, 'member')} damaged: {named}{more}{also}")


class ManifestError(IntegrityError):
    """Every member agrees with its CRC-32, but the product's own manifest is missing, unreadable, or of other files.

    Parameters
    ----------
    problems
        What is wrong, in words.
    rest
        Bytes of the central directory, as ``(first, one past the last)``; none for a tree of members. The archive is as
        it was packed, so those of the store tell whether it has another one.
    """

    def __init__(self, problems: Iterable[str], rest: tuple[tuple[int, int], ...] = ()) -> None:
        self.rest = rest
        super().__init__("; ".join(problems))


class UnprovenError(IntegrityError):
    """No fault was found, but the archive may have been joined from two versions.

    Parameters
    ----------
    doubts
        Description of what cannot be proved.
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
    manifest: bool = False,
    hashed: bool = False,
) -> Verdict:
    """Verify that a file is the complete and correct archive of a product.

    Parameters
    ----------
    path
        The file.
    size
        Expected length in bytes; None if unknown.
    level
        How much to verify.
    identifier
        Identifier of the expected product, or the file's final name; None to accept any product.
    joined
        Whether equal overlapping bytes are the only evidence that the file is of one version. Then every byte of every
        member must be covered by a CRC-32 or follow from the central directory; the level must be `Level.CRC`.
    lenient
        Whether local headers may contradict the central directory if the data agree with the latter. An archive that
        arrives like that twice was written like that; the first time, a byte may have been corrupted in transfer.
    stop
        Called before every block and every entry; returns True to cancel.
    block
        Maximum bytes to read, or to unpack, at once.
    seen
        Checksums of data that need not be read again, by the offset of their local header.
    manifest
        Whether every member is also compared with the digest that the product's own manifest states; the level must be
        `Level.CRC`.
    hashed
        Whether the SHA-256 of the file is computed in the same pass; the level must be `Level.CRC`.

    Raises
    ------
    IntegrityError
        The file is not the product: `DamagedMembersError` if only some members are damaged, `OtherProductError` if it
        is the archive of another product, `ManifestError` if only its manifest is wrong, `UnprovenError` if it was
        joined and no other fault was found,
        `UnreadableError` if the disk cannot read it back.
    Stopped
        `stop()` returned True.
    OSError
        The file cannot be opened.
    """
    with readable():
        first, name = _check_head_and_length(path, size)
        if level is Level.SIZE and first == 0:
            return Verdict(named=_names_product([name], identifier))
        # A file with bytes before the first member is checked against its directory even at the lowest level.
        directory = read_members(path, stop=stop)
        _check_first_member(directory, first)
        named = _names_product([member.name for member in directory.members], identifier)
        warnings = tuple(directory.warnings)
        if level is not Level.CRC:
            return Verdict(warnings, named=named)
        findings = Findings(proving=joined)
        digest = hashlib.sha256() if hashed else None
        check = ManifestCheck([member.name for member in directory.members]) if manifest else None
        damaged = tuple(
            damaged_members(
                path,
                directory,
                findings=findings,
                lenient=lenient,
                stop=stop,
                block=block,
                seen=seen,
                manifests=check,
                digest=digest,
            )
        )
        problems = check.problems if check else []
        rest = ((directory.start, path.stat().st_size),) if check else ()
        if damaged:
            raise DamagedMembersError(damaged, len(directory.members), problems, rest)
        if problems:
            raise ManifestError(problems, rest)
        if joined and (doubts := "; ".join(_doubts(warnings, findings))):
            raise UnprovenError(doubts)
        sha256 = digest.hexdigest() if digest else None
        verdict = Verdict(warnings + tuple(findings.warnings), findings.unchecked.total(), named, sha256=sha256)
        return verdict.with_manifest(check) if check else verdict


def describe_non_zip(head: bytes) -> str | None:
    """Describe what a file appears to be if it is not a ZIP archive.

    Parameters
    ----------
    head
        First bytes of the file, at least 4 unless it is shorter; some hundreds are needed to distinguish HTML from XML.

    Returns
    -------
    str or None
        A phrase such as ``"an HTML page"``. None if the file starts with a local header, or if `head` has one after
        bytes that are not recognized as a typical error response.
    """
    if head.startswith(LOCAL_SIGNATURE):
        return None
    for pattern, looks in _LOOKS:
        if re.match(pattern, head):
            return looks
    return None if LOCAL_SIGNATURE in head[:LONGEST_STUB] else f"bytes {head[:4].hex()}..."


def _check_head_and_length(path: Path, size: int | None) -> tuple[int, str]:
    """Return the offset of the first local header and the name in it, which may be truncated."""
    with path.open("rb") as file:
        head = file.read(1024)
        if not head.startswith(LOCAL_SIGNATURE):
            head += file.read(LONGEST_STUB - len(head))
        length = file.seek(0, os.SEEK_END)
        if looks := describe_non_zip(head):
            raise IntegrityError(f"expected a ZIP archive with members, found {looks}")
        if size is not None and length != size:
            raise IntegrityError(f"expected {plural(size, 'byte')}, found {length}")
        first = head.index(LOCAL_SIGNATURE)
        file.seek(first)
        header = file.read(LOCAL.size)
        if len(header) < LOCAL.size:
            return first, ""
        flags, name = (LOCAL.unpack(header)[field] for field in (2, 9))
        return first, decoded(file.read(name), flags)


def _check_first_member(directory: Directory, first: int) -> None:
    """Raise if the first local header in the file is not that of the directory's first member."""
    begins = directory.members[0].header
    if (first or directory.shift) and begins != first:
        raise IntegrityError(f"a member begins at byte {first}, the first one of the directory at {begins}")


def _names_product(names: list[str], identifier: str | None) -> bool:
    return identifier is None or refuse_another(names, identifier)


def _doubts(warnings: tuple[str, ...], findings: Findings) -> Iterator[str]:
    yield from warnings
    if unchecked := findings.unchecked.total():
        yield f"{plural(unchecked, 'member')} could not be checked"
    if findings.unproven:
        yield f"of {plural(findings.unproven, 'member')} the directory does not tell every byte"
