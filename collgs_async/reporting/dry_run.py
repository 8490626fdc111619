"""Write the report of a dry run: what a run would do about each product."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from collgs_async.errors import NotAvailableError, StorageError
from collgs_async.models.product import Outcome, Status
from collgs_async.reporting.run_report import encoded, file_chunks, open_spool, product_entry, search_entry
from collgs_async.storage.atomic import write_file

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from collgs_async.models.product import Product
    from collgs_async.models.report import Report

__all__ = ["DryRunReport"]


class DryRunReport:
    """Collects what would be done in little memory; its file has the form of a run's report.

    The status of a product that would be fetched is ``planned``, with the reason ``fetch`` or ``resume``, and its bytes
    are the length of the archive, or what its wanted members take of it; None while that is unknown. A context manager,
    which drops the spool.

    Parameters
    ----------
    path
        As for `RunReportWriter`.
    is_part
        Whether only parts of the archives are wanted.

    Raises
    ------
    ConfigError
        No report can be written there.
    """

    def __init__(self, path: Path, *, is_part: bool = False) -> None:
        self._path = path
        self._is_part = is_part
        self._spool = open_spool(path)
        self._counts: Counter[str] = Counter()
        self._bytes: int | None = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # on a full disk the last lines cannot be flushed, and they are no longer needed
            self._spool.close()

    def record(self, product: Product, place: str, action: Literal["skip", "fetch", "resume"]) -> None:
        """Record what would be done about one product.

        Parameters
        ----------
        place
            Where its archive is, or would be: a path or a URL.

        Raises
        ------
        StorageError
            The disk of the report is full.
        """
        if action == "skip":
            entry = product_entry(Outcome(product, Status.SKIPPED, place=place, reason="exists"))
        elif product.url is None or product.problem is not None:
            problem = product.problem or "the catalogue gives no download link for it"
            entry = product_entry(Outcome(product, Status.FAILED, error=NotAvailableError(problem)))
        else:
            would_be = Outcome(product, Status.DOWNLOADED, place=place, reason=action)
            moved = product.bytes_to_move(is_part=self._is_part)
            entry = product_entry(would_be) | {"status": "planned", "bytes": moved}
            self._bytes = None if self._bytes is None or moved is None else self._bytes + moved
        self._counts[entry["status"]] += 1
        try:
            self._spool.write(encoded(entry) + b"\n")
        except OSError as error:
            raise self._cannot_write(error) from error

    def write(self, search: Report) -> None:
        """Write the report, a file atomically.

        Parameters
        ----------
        search
            What became of the search.

        Raises
        ------
        StorageError
            The disk is full, or the folder is missing or read-only.
        """
        counts: dict[str, Any] = {name: self._counts[name] for name in ("planned", "skipped", "failed")}
        summary = {"dry_run": True, "found": self._counts.total(), **counts, "bytes": self._bytes}
        self._spool.seek(0)
        try:
            write_file(self._path, file_chunks(summary, search_entry(search), self._spool))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(f"--report: cannot write {self._path}: {error.strerror}")
