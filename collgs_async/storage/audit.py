"""Verify the existing archives of a folder, and the trees of members of others, several at once."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError, ProductError, StorageError
from collgs_async.storage.archive_reading import never
from collgs_async.storage.audit_results import DamagedArchive, FolderAudit
from collgs_async.storage.filenames import is_parts_folder
from collgs_async.storage.files import is_same_mtime, refuse_odd
from collgs_async.storage.parts_tree import MOVED_AWAY
from collgs_async.storage.verify import DamagedMembersError, Level, ManifestError, Verdict, verify_archive
from collgs_async.storage.verify_tree import tree_size, verify_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.storage.audit_results import AuditProgress

__all__ = ["ChangedArchiveError", "CheckedFile", "RecordedFile", "verify_files", "verify_folder"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """An archive, or a tree of members, that was read.

    Attributes
    ----------
    size
        Its length in bytes before it was read, or that of all files of a tree; None if it was not accessible.
    mtime
        When it was last changed, before it was read: nanoseconds since 1970 UTC; None for a tree.
    found
        The verdict, or why it is damaged.
    """

    path: Path
    size: int | None
    mtime: int | None
    found: Verdict | ProductError


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """What is known of an archive from earlier.

    Attributes
    ----------
    size
        Its length in bytes.
    mtime
        When it was last changed: milliseconds since 1970 UTC.
    sha256
        Its SHA-256 in hexadecimal digits.
    """

    size: int
    mtime: int
    sha256: str


class ChangedArchiveError(IntegrityError):
    """An archive has another SHA-256 than was recorded, though length and time are the same, and its members are right.

    Parameters
    ----------
    size
        Its length in bytes.
    found, recorded
        The digests in hexadecimal digits.
    """

    def __init__(self, size: int, found: str, recorded: str) -> None:
        self.rest = ((0, size),)
        super().__init__(f"its SHA-256 is {found}, {recorded} was recorded, and its length and time are the same")


async def verify_folder(
    folder: Path,
    level: Level,
    progress: AuditProgress,
    *,
    manifest: bool = False,
    on_checked: Callable[[CheckedFile], None] | None = None,
) -> FolderAudit:
    """Verify each ``*.zip`` in a folder and its subfolders, as many at once as there are processors.

    Each ``*.parts`` is verified as a tree of members; an archive inside it is only one of its files.

    Parameters
    ----------
    folder
        The folder, or a single archive, or a single tree.
    level
        How much is verified.
    progress
        Receives progress events.
    manifest
        Whether members are also compared with the manifest of their product; the level must be `Level.CRC`.
    on_checked
        Called with each archive or tree that was read, on the event loop; None: not called.
    """
    progress.open()
    try:
        files = await asyncio.to_thread(_archives, folder)
        return await _verify_files(files, _How(level, manifest=manifest), progress, on_checked, never)
    finally:
        progress.close()


async def verify_files(
    files: Mapping[str, Path],
    level: Level,
    progress: AuditProgress,
    *,
    manifest: bool = False,
    hashed: bool = False,
    on_checked: Callable[[CheckedFile], None] | None = None,
    recorded: Mapping[Path, RecordedFile] = MappingProxyType({}),
    until: Callable[[], bool] = never,
) -> FolderAudit:
    """Verify these archives and trees, in their order, as many at once as there are processors.

    Parameters
    ----------
    files
        Their paths, by the names that are displayed.
    level, progress, manifest, on_checked
        As for `verify_folder`.
    hashed
        Whether the SHA-256 of each archive is computed in the same pass; the level must be `Level.CRC`.
    recorded
        What is known of archives from earlier, by their paths; their SHA-256 is compared.
    until
        Called before each archive; returns True if it is not to be begun, nor any other one.
    """
    progress.open()
    try:
        how = _How(level, manifest=manifest, hashed=hashed, recorded=recorded)
        return await _verify_files(files, how, progress, on_checked, until)
    finally:
        progress.close()


@dataclass(frozen=True, slots=True)
class _How:
    """How archives are verified; see `verify_files`."""

    level: Level
    manifest: bool = False
    hashed: bool = False
    recorded: Mapping[Path, RecordedFile] = field(default_factory=dict)


async def _verify_files(
    files: Mapping[str, Path],
    how: _How,
    progress: AuditProgress,
    on_checked: Callable[[CheckedFile], None] | None,
    until: Callable[[], bool],
) -> FolderAudit:
    began = time.monotonic()
    progress.expect(len(files))
    checked: list[CheckedFile] = []
    waiting = iter(files.items())
    stop = threading.Event()
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as executor:

        async def work() -> None:
            in_thread = partial(asyncio.get_running_loop().run_in_executor, executor)
            while not until() and (following := next(waiting, None)) is not None:
                name, path = following
                size, mtime = await in_thread(_size_and_time, path)
                progress.begin(name, size=size)
                found = await in_thread(_examine, path, how, stop)
                if isinstance(found, Verdict):
                    progress.add(name, size or 0)
                else:
                    log.error("%s: %s", path, found)
                progress.end(name, failed=not isinstance(found, Verdict))
                checked.append(one := CheckedFile(path, size, mtime, found))
                if on_checked is not None:
                    on_checked(one)

        workers = [asyncio.create_task(work()) for _ in range(threads)]
        try:
            await asyncio.gather(*workers)
        finally:
            stop.set()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    verdicts = [one.found for one in checked if isinstance(one.found, Verdict)]
    bad = [_bad(one.path, one.found) for one in checked if isinstance(one.found, ProductError)]
    return FolderAudit(
        checked=len(checked),
        bytes=sum(one.size or 0 for one in checked),
        seconds=time.monotonic() - began,
        bad=tuple(sorted(bad, key=lambda one: one.path)),
        unchecked=sum(verdict.unchecked for verdict in verdicts),
        unnamed=sum(not verdict.named for verdict in verdicts),
        trees=sum(_is_tree(one.path) for one in checked),
        compared=sum(verdict.compared for verdict in verdicts) if how.manifest else None,
        unlisted=sum(verdict.unlisted for verdict in verdicts) if how.manifest else None,
        without_manifest=sum(not verdict.has_manifest for verdict in verdicts) if how.manifest else 0,
        left=len(files) - len(checked),
    )


def _bad(path: Path, problem: ProductError) -> DamagedArchive:
    damaged = problem.damaged if isinstance(problem, DamagedMembersError) else ()
    rest = problem.rest if isinstance(problem, (DamagedMembersError, ManifestError, ChangedArchiveError)) else ()
    ranges = tuple((damage.start, damage.end) for damage in damaged)
    return DamagedArchive(
        path, problem, ranges + rest, tuple(damage.name for damage in damaged), is_tree=_is_tree(path)
    )


def _is_tree(path: Path) -> bool:
    return is_parts_folder(path.name) and path.is_dir()


def _archives(folder: Path) -> dict[str, Path]:
    """Return the archives and trees by their display names, without those that were moved out of the way."""
    if not folder.is_dir() or _is_tree(folder):
        return {folder.name: folder}
    found: list[Path] = []
    for where, folders, files in os.walk(folder):
        here = Path(where)
        found += [here / name for name in folders if is_parts_folder(name)]
        folders[:] = [name for name in folders if name != MOVED_AWAY and not is_parts_folder(name)]
        found += [here / name for name in files if name.endswith(".zip")]
    return {str(path.relative_to(folder)): path for path in sorted(found)}


def _size_and_time(path: Path) -> tuple[int | None, int | None]:
    try:
        if _is_tree(path):
            return tree_size(path), None
        status = path.stat()
    except OSError:
        return None, None  # removed in the meantime, or not accessible; reading it raises the error
    return status.st_size, status.st_mtime_ns


def _examine(path: Path, how: _How, stop: threading.Event) -> Verdict | ProductError:
    try:
        if _is_tree(path):
            verdict = verify_tree(path, how.level, stop.is_set, manifest=how.manifest)
        else:
            status = path.stat()
            refuse_odd(path, status.st_mode)
            verdict = verify_archive(
                path,
                level=how.level,
                identifier=path.stem,
                lenient=True,
                stop=stop.is_set,
                manifest=how.manifest,
                hashed=how.hashed,
            )
            _compare_with_recorded(verdict.sha256, status, how.recorded.get(path))
    except ProductError as error:
        return error
    except StorageError as error:
        return IntegrityError(f"cannot be read: {error}")
    except OSError as error:
        return IntegrityError(f"cannot be read: {error.strerror}")
    for warning in verdict.warnings:
        log.warning("%s: %s", path, warning)
    for note in verdict.notes:
        log.info("%s: note: %s", path, note)
    return verdict


def _compare_with_recorded(sha256: str | None, status: os.stat_result, recorded: RecordedFile | None) -> None:
    """Raise if an archive has other bytes than before, and nothing that says that it was replaced."""
    if sha256 is None or recorded is None or sha256 == recorded.sha256 or status.st_size != recorded.size:
        return
    if is_same_mtime(status.st_mtime_ns // 10**6, recorded.mtime):
        raise ChangedArchiveError(status.st_size, sha256, recorded.sha256)
