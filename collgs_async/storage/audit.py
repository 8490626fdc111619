"""Verify the existing archives of a folder, and the trees of members of others, several at once."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from collgs_async.errors import IntegrityError, ProductError, StorageError
from collgs_async.models.text import format_bytes, format_duration, plural
from collgs_async.storage.filenames import is_parts_folder
from collgs_async.storage.files import refuse_odd
from collgs_async.storage.parts_tree import SET_ASIDE
from collgs_async.storage.verify import DamagedMembersError, Level, ManifestError, Verdict, verify_archive
from collgs_async.storage.verify_tree import tree_size, verify_tree

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AuditProgress", "CheckedFile", "DamagedArchive", "FolderAudit", "verify_folder"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class DamagedArchive:
    """An archive, or a tree of members, that failed verification.

    Attributes
    ----------
    path
        Path of the archive or of the top folder of the tree.
    problem
        The error.
    damaged
        Byte ranges ``(first, one past the last)`` of the archive to be downloaded again: those of damaged members, and
        of the directory if the manifest was compared; empty if the damage is not limited to members.
    members
        Names of the damaged members; empty if the damage is not limited to members.
    is_tree
        Whether it is a tree.
    """

    path: Path
    problem: ProductError
    damaged: tuple[tuple[int, int], ...]
    members: tuple[str, ...] = ()
    is_tree: bool = False


@dataclass(frozen=True, slots=True)
class FolderAudit:
    """Result of verifying a folder.

    Attributes
    ----------
    checked
        Number of archives read.
    bytes
        Their total length.
    seconds
        Duration.
    bad
        The archives that failed, sorted by path.
    unchecked
        Number of members of the other archives that could not be checked.
    unnamed
        Number of other archives whose members do not identify a product, so that the file name was trusted.
    trees
        Number of trees of members, which are counted with the archives.
    compared, unlisted
        Number of members of the other archives that are as their manifests state, and that no manifest lists; None:
        nothing was compared with manifests.
    without_manifest
        Number of other archives that have no manifest.
    """

    checked: int
    bytes: int
    seconds: float
    bad: tuple[DamagedArchive, ...]
    unchecked: int = 0
    unnamed: int = 0
    trees: int = 0
    compared: int | None = None
    unlisted: int | None = None
    without_manifest: int = 0

    @property
    def ok(self) -> bool:
        """Whether no archive failed."""
        return not self.bad

    def __str__(self) -> str:
        """Describe the result in one line."""
        if not self.checked:
            return "no archives there"
        verdict = f"{len(self.bad)} of them bad" if self.bad else "all of them right"
        if self.unchecked or self.without_manifest:
            verdict = f"{len(self.bad) or 'none'} of them bad"
        if self.unchecked:
            verdict += f"; {plural(self.unchecked, 'member')} could not be checked"
        if self.unnamed:
            verdict += f"; {self.unnamed} {'does' if self.unnamed == 1 else 'do'} not say of which product"
        if self.trees:
            verdict += f"; {self.trees} {'is a part of an archive' if self.trees == 1 else 'are parts of archives'}"
        if self.compared is not None:
            verdict += f"; {plural(self.compared, 'member')} as the manifests state"
            verdict += f", {self.unlisted} not listed there" if self.unlisted else ""
        if self.without_manifest:
            verdict += f"; {self.without_manifest} without a manifest"
        return f"{self.checked} checked ({format_bytes(self.bytes)} in {format_duration(self.seconds)}), {verdict}"


class AuditProgress(Protocol):
    """Receives the progress of an audit; every method returns at once and never raises."""

    def open(self) -> None:
        """Begin the display."""

    def expect(self, products: int) -> None:
        """Set the number of archives."""

    def begin(self, name: str, *, size: int | None) -> None:
        """Report that an archive is about to be read; `size` is None if it is not accessible."""

    def add(self, name: str, nbytes: int) -> None:
        """Add bytes of an archive that were read and are right."""

    def end(self, name: str, *, failed: bool) -> None:
        """Report that an archive was verified."""

    def close(self) -> None:
        """End the display."""


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
        return await _verify_folder(folder, level, progress, on_checked, manifest=manifest)
    finally:
        progress.close()


async def _verify_folder(
    folder: Path,
    level: Level,
    progress: AuditProgress,
    on_checked: Callable[[CheckedFile], None] | None,
    *,
    manifest: bool,
) -> FolderAudit:
    began = time.monotonic()
    paths = await asyncio.to_thread(_archives, folder)
    progress.expect(len(paths))
    checked: list[CheckedFile] = []
    waiting = iter(paths.items())
    stop = threading.Event()
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as executor:

        async def work() -> None:
            in_thread = partial(asyncio.get_running_loop().run_in_executor, executor)
            for name, path in waiting:
                size, mtime = await in_thread(_size_and_time, path)
                progress.begin(name, size=size)
                found = await in_thread(partial(_examine, path, level, stop, manifest=manifest))
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
        compared=sum(verdict.compared for verdict in verdicts) if manifest else None,
        unlisted=sum(verdict.unlisted for verdict in verdicts) if manifest else None,
        without_manifest=sum(not verdict.has_manifest for verdict in verdicts) if manifest else 0,
    )


def _bad(path: Path, problem: ProductError) -> DamagedArchive:
    damaged = problem.damaged if isinstance(problem, DamagedMembersError) else ()
    rest = problem.rest if isinstance(problem, (DamagedMembersError, ManifestError)) else ()
    ranges = tuple((damage.start, damage.end) for damage in damaged)
    return DamagedArchive(
        path, problem, ranges + rest, tuple(damage.name for damage in damaged), is_tree=_is_tree(path)
    )


def _is_tree(path: Path) -> bool:
    return is_parts_folder(path.name) and path.is_dir()


def _archives(folder: Path) -> dict[str, Path]:
    """Return the archives and trees by their display names."""
    if not folder.is_dir() or _is_tree(folder):
        return {folder.name: folder}
    found: list[Path] = []
    for where, folders, files in os.walk(folder):
        here = Path(where)
        if here.parts[-len(SET_ASIDE.parts) :] == SET_ASIDE.parts:
            folders[:] = [name for name in folders if not is_parts_folder(name.rstrip(".0123456789"))]
        found += [here / name for name in folders if is_parts_folder(name)]
        folders[:] = [name for name in folders if not is_parts_folder(name)]
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


def _examine(path: Path, level: Level, stop: threading.Event, *, manifest: bool) -> Verdict | ProductError:
    try:
        if _is_tree(path):
            verdict = verify_tree(path, level, stop.is_set, manifest=manifest)
        else:
            refuse_odd(path, path.stat().st_mode)
            verdict = verify_archive(
                path, level=level, identifier=path.stem, lenient=True, stop=stop.is_set, manifest=manifest
            )
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
