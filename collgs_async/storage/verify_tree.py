"""Verify the tree of an archive's members by its record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError, FileError, IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import check_cancelled, never, quoted
from collgs_async.storage.manifest_check import ManifestCheck
from collgs_async.storage.member_names import RECORD, TEMPORARY, safe_path
from collgs_async.storage.member_spans import member_end
from collgs_async.storage.parts_record import load_record
from collgs_async.storage.tree_check import problem_of_file, read_file
from collgs_async.storage.tree_files import TreeFiles
from collgs_async.storage.verify import DamagedMembersError, Level, ManifestError, Verdict
from collgs_async.storage.zip_members import Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path, PurePosixPath

    from collgs_async.storage.parts_record import PartsRecord
    from collgs_async.storage.zip_directory import Directory

__all__ = ["tree_size", "verify_tree"]

_MENDED_BY: Final = "a download of some of its bands (--bands) compares them with the archive, and writes it again"


def verify_tree(
    folder: Path, level: Level = Level.CRC, stop: Callable[[], bool] = never, *, manifest: bool = False
) -> Verdict:
    """Verify that the files that a tree's record lists are there and right.

    Parameters
    ----------
    folder
        The top folder of the tree.
    level
        How much is verified: with `Level.CRC` every file is read, otherwise only its length is compared.
    stop
        Called before every file and every block; returns True to cancel.
    manifest
        Whether the files are also compared with the digests of the product's own manifest, if that is here; the level
        must be `Level.CRC`. What the manifest lists must be in the archive, but need not be here.

    Returns
    -------
    Verdict
        With notes: how many members of the archive are here, and which files belong to none.

    Raises
    ------
    IntegrityError
        The record is damaged or missing; `DamagedMembersError` if files are missing or wrong, with the ranges of their
        members in the archive; `ManifestError` if only the manifest is wrong.
    FileError
        A later release wrote the record, or something that is no folder or no file has one of the names.
    StorageError
        The disk failed.
    Stopped
        `stop()` returned True.
    """
    try:
        record = load_record(folder)
    except IntegrityError as error:
        raise IntegrityError(f"{error}; {_MENDED_BY}") from error
    with TreeFiles(folder) as files:
        if record is None:
            if next(_extra(files, frozenset()), None) is None:
                return Verdict(remarks=("no member of the archive is here yet",))
            raise IntegrityError(f"there is no {RECORD}, which says what the files must be; {_MENDED_BY}")
        directory = record.read_directory(stop)
        ends = {member.header: member_end(member, following) for member, following in directory.extents()}
        check = _read_manifests(files, record, directory, stop) if manifest else None
        damaged = tuple(_damaged(files, record, ends, level, stop, check))
        problems = check.problems if check else []
        if damaged:
            raise DamagedMembersError(damaged, len(record.here), problems)
        if problems:
            raise ManifestError(problems)
        verdict = Verdict(remarks=tuple(_remarks(files, record, directory)))
        return verdict.with_manifest(check) if check else verdict


def _read_manifests(
    files: TreeFiles, record: PartsRecord, directory: Directory, stop: Callable[[], bool]
) -> ManifestCheck:
    check = ManifestCheck([member.name for member in directory.members], {member.name for member in record.here})
    for member in record.here:
        if member.name in check.manifests:
            with suppress(FileError):  # reported with the other files
                check.read(member.name, read_file(files, member.name, stop))
    return check


def tree_size(folder: Path) -> int | None:
    """Return the length of all files that a tree's record lists; None if there is no usable record."""
    try:
        record = load_record(folder)
    except (CollgsError, OSError):
        return None  # verifying the tree raises the same error
    return sum(member.size for member in record.here) if record else None


def _damaged(
    files: TreeFiles,
    record: PartsRecord,
    ends: dict[int, int],
    level: Level,
    stop: Callable[[], bool],
    check: ManifestCheck | None,
) -> Iterator[Damage]:
    for member in record.here:
        check_cancelled(stop)
        digests = check.digests_of(member.name) if check else None
        problem = problem_of_file(files, member, stop, reads=level is Level.CRC, digests=digests)
        if problem:
            end = ends.get(member.header, member.header)
            yield Damage(member.name, member.header, end, problem)


def _remarks(files: TreeFiles, record: PartsRecord, directory: Directory) -> Iterator[str]:
    count = sum(not member.name.endswith("/") for member in directory.members)
    yield f"{len(record.here)} of {plural(count, 'member')} of the archive are here"
    extra = sorted(_extra(files, frozenset(safe_path(member.name) for member in record.here)))
    if extra:
        yield f"{plural(len(extra), 'file')} of no member that is here, such as {quoted(str(extra[0]))}"


def _extra(files: TreeFiles, known: frozenset[PurePosixPath]) -> Iterator[PurePosixPath]:
    """Yield the paths of files in a tree that do not belong there."""
    for path in files.paths():
        if path not in known and str(path) != RECORD and not TEMPORARY.fullmatch(str(path)):
            yield path
