"""Write the report of a run, the file of ``--report``."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final, Self

from collgs_async.errors import ConfigError, StorageError
from collgs_async.http.messages import json_text
from collgs_async.models.product import ELSEWHERE, Status
from collgs_async.models.redaction import USERINFO, without_userinfo
from collgs_async.models.report import Report
from collgs_async.reporting.outcomes import Outcomes
from collgs_async.storage.atomic import STDOUT, is_stream, may_replace, unwritable_kind, write_file
from collgs_async.storage.filenames import is_parts_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from collgs_async.errors import CollgsError, LimitReachedError
    from collgs_async.models.product import Outcome

__all__ = [
    "RunReportWriter",
    "bare_message",
    "encoded",
    "file_chunks",
    "open_spool",
    "product_entry",
    "search_entry",
    "summary_entry",
]

_BEGINNING: Final = b'{"summary":'


class RunReportWriter:
    """Collects all outcomes of a run in little memory: they are counted, and spooled to disk.

    A context manager; leaving it drops the spool, which has no name on disk and so does not outlive a killed process.

    Parameters
    ----------
    path
        The report's path: a file in an existing folder, a pipe or device, or ``-`` for standard output. None: no report
        is written.

    Raises
    ------
    ConfigError
        No report can be written there.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._spool = None if path is None else open_spool(path)
        self._counts: Counter[Status] = Counter()
        self._elsewhere = 0
        self._bytes = 0
        self._parts = 0
        self._members = 0
        self._failures: list[Outcome] = []
        self._outcomes = Outcomes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spool is not None:
            with suppress(OSError):  # on a full disk the last lines cannot be flushed, and they are no longer needed
                self._spool.close()

    def record(self, outcome: Outcome) -> None:
        """Record one outcome.

        Raises
        ------
        StorageError
            The disk of the report is full; the outcome is counted all the same.
        """
        self._counts[outcome.status] += 1
        self._elsewhere += outcome.reason == ELSEWHERE
        self._bytes += outcome.bytes
        self._parts += outcome.path is not None and is_parts_folder(outcome.path.name)
        self._members += (outcome.members or 0) if outcome.status is Status.DOWNLOADED else 0
        if outcome.status is Status.FAILED:
            self._failures.append(outcome)
        self._outcomes.add(outcome)
        if self._spool is not None:
            try:
                self._spool.write(encoded(product_entry(outcome)) + b"\n")
            except OSError as error:
                raise self._cannot_write(error) from error

    def report(
        self,
        search_total: int | None,
        search_pages: int,
        search_error: CollgsError | None,
        seconds: float,
        moved: int = 0,
    ) -> Report:
        """Summarise what was recorded so far; see `Report` for the arguments.

        `moved` is the number of bytes transferred in total, also for products without an outcome because the run was
        stopped.
        """
        return Report(
            downloaded=self._counts[Status.DOWNLOADED],
            skipped=self._counts[Status.SKIPPED],
            failed=self._counts[Status.FAILED],
            elsewhere=self._elsewhere,
            bytes=max(self._bytes, moved),
            unfinished_bytes=max(0, moved - self._bytes),
            seconds=seconds,
            parts=self._parts,
            members=self._members,
            failures=tuple(self._failures),
            outcomes=self._outcomes,
            search_total=search_total,
            search_pages=search_pages,
            search_error=search_error,
        )

    def write(self, report: Report) -> None:
        """Write the report, a file atomically; without a path, write nothing.

        Raises
        ------
        StorageError
            The disk is full, or the folder is missing or read-only; an older report is then still there.
        BrokenPipeError
            The reader of standard output has ended.
        """
        if self._path is None or self._spool is None:
            return
        try:
            write_file(self._path, file_chunks(summary_entry(report), search_entry(report), self._spooled()))
        except OSError as error:
            if self._path == STDOUT:
                raise
            raise self._cannot_write(error) from error

    def _spooled(self) -> Iterator[bytes]:
        if self._spool is not None:
            self._spool.seek(0)
            yield from self._spool

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(f"--report: cannot write {self._path}: {error.strerror}")


def open_spool(path: Path) -> IO[bytes]:
    """Open a nameless file on the disk of the report, so that a full disk is noticed during the run."""
    if path == STDOUT or is_stream(path):
        return TemporaryFile()
    folder = path.resolve().parent
    if kind := unwritable_kind(path):
        raise ConfigError(f"--report: expected a file, found {kind.replace('a ', 'the ', 1)} {path}")
    if not folder.is_dir():
        found = "something else" if folder.exists() else "nothing"
        raise ConfigError(f"--report: expected a folder at {folder}, found {found}")
    if not may_replace(path, _BEGINNING):
        raise ConfigError(f"--report: expected no file or a report, found another file at {path}; it was left alone")
    try:
        return TemporaryFile(dir=folder)
    except OSError as error:
        raise ConfigError(f"--report: cannot write in {folder}: {error.strerror}") from error


def file_chunks(summary: dict[str, Any], search: dict[str, Any], products: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the report with one product per line, for reading and for diff."""
    yield _BEGINNING + b" " + encoded(summary)
    yield b',\n "search": ' + encoded(search)
    yield b',\n "products": ['
    separator = b"\n"
    for product in products:
        yield separator + product.rstrip(b"\n")
        separator = b",\n"
    yield b"\n]}\n"


def encoded(entry: dict[str, Any]) -> bytes:
    """Return an entry as JSON in one line."""
    return json_text(entry, ascii_only=False).encode()  # escapes lone surrogates of a file name that is not UTF-8


def summary_entry(report: Report) -> dict[str, Any]:
    """Return the entry of the whole run."""
    return {
        "found": report.found,
        "downloaded": report.downloaded,
        "skipped": report.skipped,
        "failed": report.failed,
        "bytes": report.bytes,
        "unfinished_bytes": report.unfinished_bytes,
        "seconds": round(report.seconds, 3),
        "members": report.members,
        **({} if report.limit is None else {"limit": _limit_entry(report.limit, report.left)}),
    }


def _limit_entry(limit: LimitReachedError, left: int | None) -> dict[str, Any]:
    return {"setting": limit.setting, "message": bare_message(limit), "left": left}


def search_entry(report: Report) -> dict[str, Any]:
    """Return the entry of the search."""
    return {
        "total": report.search_total,
        "pages": report.search_pages,
        "error": _error_entry(report.search_error or report.stopped_by),
        "left_out": dict(report.left_out),
        "missing": list(report.missing),
    }


def product_entry(outcome: Outcome) -> dict[str, Any]:
    """Return the entry of one product."""
    return {
        "id": outcome.product.identifier,
        "status": outcome.status,
        "path": outcome.place,
        "bytes": outcome.bytes,
        "url": _bare_url(outcome.product.url),
        "seconds": round(outcome.seconds, 3),
        "attempts": outcome.attempts,
        "members": outcome.members,
        "reason": outcome.reason,
        "error": _error_entry(outcome.error),
    }


def _error_entry(error: CollgsError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"kind": type(error).__name__, "message": bare_message(error)}


def _bare_url(url: str | None) -> str | None:
    """Remove ``user:password@``, and nothing else: what follows may contain a URL of its own."""
    userinfo = USERINFO.match(url or "")
    return url if url is None or userinfo is None else userinfo[1] + url[userinfo.end() :]


def bare_message(error: CollgsError) -> str:
    """Remove ``user:password@`` from every URL in the message."""
    return without_userinfo(str(error))
