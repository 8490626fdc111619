"""Verify the existing archives of a folder, several at once."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.errors import FileError, IntegrityError, ProductError
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.models.text import format_bytes, format_duration
from collgs_async.pipeline import run_pipeline
from collgs_async.storage.archive_reading import counted
from collgs_async.storage.files import refuse_odd
from collgs_async.storage.verify import DamagedMembersError, Level, Verdict, verify_archive

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from collgs_async.config.settings import DownloadOptions
    from collgs_async.models.progress import Progress

__all__ = ["DamagedArchive", "FolderAudit", "verify_folder"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class DamagedArchive:
    """An archive that failed verification.

    Attributes
    ----------
    path
        Path of the archive.
    problem
        The error.
    damaged
        Damaged byte ranges ``(first, one past the last)``; empty if the damage is not limited to members.
    """

    path: Path
    problem: ProductError
    damaged: tuple[tuple[int, int], ...]


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
    """

    checked: int
    bytes: int
    seconds: float
    bad: tuple[DamagedArchive, ...]
    unchecked: int = 0
    unnamed: int = 0

    @property
    def ok(self) -> bool:
        """Whether no archive failed."""
        return not self.bad

    def __str__(self) -> str:
        """Describe the result in one line."""
        if not self.checked:
            return "no archives there"
        verdict = f"{len(self.bad)} of them bad" if self.bad else "all of them right"
        if self.unchecked:
            verdict = f"{len(self.bad) or 'none'} of them bad; {counted(self.unchecked, 'member')} could not be checked"
        if self.unnamed:
            verdict += f"; {self.unnamed} {'does' if self.unnamed == 1 else 'do'} not say of which product"
        return f"{self.checked} checked ({format_bytes(self.bytes)} in {format_duration(self.seconds)}), {verdict}"


async def verify_folder(folder: Path, options: DownloadOptions, progress: Progress) -> FolderAudit:
    """Verify each ``*.zip`` in a folder and its subfolders, as many at once as there are processors.

    Parameters
    ----------
    folder
        The folder, or a single archive.
    options
        Its ``verify`` is the level of verification.
    progress
        Receives progress events.
    """
    started = time.monotonic()
    paths = await asyncio.to_thread(_archives, folder)
    progress.expect(len(paths))
    outcomes: list[Outcome] = []
    unchecked = unnamed = 0
    stop = threading.Event()
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as executor:

        async def examine(product: Product) -> Outcome:
            path = paths[product.identifier]
            progress.started(product, have=0, size=product.size)
            nonlocal unchecked, unnamed
            found = await asyncio.get_running_loop().run_in_executor(
                executor, _examine, path, Level(options.verify), stop
            )
            problem = found if isinstance(found, ProductError) else None
            if isinstance(found, Verdict):
                progress.advanced(product, product.size or 0)
                unchecked += found.unchecked
                unnamed += not found.named
            else:
                log.error("%s: %s", path, found)
            status = Status.DOWNLOADED if problem is None else Status.FAILED
            outcome = Outcome(product, status, path=path, error=problem)
            progress.finished(outcome)
            return outcome

        try:
            await run_pipeline(_products(paths), examine, outcomes.append, workers=threads, queue_size=threads)
        finally:
            stop.set()
    return FolderAudit(
        checked=len(outcomes),
        bytes=sum(outcome.product.size or 0 for outcome in outcomes),
        seconds=time.monotonic() - started,
        bad=tuple(
            sorted(
                (_bad(paths[outcome.product.identifier], outcome.error) for outcome in outcomes if outcome.error),
                key=lambda bad: bad.path,
            )
        ),
        unchecked=unchecked,
        unnamed=unnamed,
    )


def _bad(path: Path, problem: ProductError) -> DamagedArchive:
    damaged = problem.damaged if isinstance(problem, DamagedMembersError) else ()
    return DamagedArchive(path, problem, tuple((damage.start, damage.end) for damage in damaged))


def _archives(folder: Path) -> dict[str, Path]:
    """Return the archives by their display names."""
    if not folder.is_dir():
        return {folder.name: folder}
    found = sorted(path for path in folder.rglob("*.zip") if not path.is_dir())
    return {str(path.relative_to(folder)): path for path in found}


async def _products(paths: dict[str, Path]) -> AsyncGenerator[Product, None]:
    for name, path in paths.items():
        yield Product(name, url=None, size=await asyncio.to_thread(_size, path))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None  # removed in the meantime, or not accessible; reading it raises the error


def _examine(path: Path, level: Level, stop: threading.Event) -> Verdict | ProductError:
    try:
        refuse_odd(path, path.stat().st_mode)
        verdict = verify_archive(path, level=level, identifier=path.stem, lenient=True, stop=stop.is_set)
    except (FileError, IntegrityError) as error:
        return error
    except OSError as error:
        return IntegrityError(f"cannot be read: {error.strerror}")
    for warning in verdict.warnings:
        log.warning("%s: %s", path, warning)
    for note in verdict.notes:
        log.info("%s: note: %s", path, note)
    return verdict
