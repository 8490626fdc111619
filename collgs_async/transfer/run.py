"""Download all products of a search or plan, while the search goes on, and report on every one of them."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from collgs_async.errors import CollgsError, StorageError
from collgs_async.models.report import Report
from collgs_async.pipeline import run_pipeline
from collgs_async.reporting.run_report import RunReportWriter
from collgs_async.transfer.budget import Budget

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from pathlib import Path

    from collgs_async.config.settings import DownloadOptions
    from collgs_async.models.product import Outcome, Product
    from collgs_async.models.progress import Progress
    from collgs_async.models.timing import Timing
    from collgs_async.models.wish import Wish
    from collgs_async.pipeline import Later
    from collgs_async.transfer.budget import Meter
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["ManyDownloader", "Run", "ToDownload"]

log = logging.getLogger("collgs_async")


class ToDownload(Protocol):
    """The products of a run: those of a search, of a plan, or given by the caller."""

    @property
    def excluded(self) -> Counter[str]:
        """The number of excluded products by reason."""

    @property
    def missing(self) -> list[str]:
        """Requested identifiers that no search has found."""

    @property
    def total(self) -> int | None:
        """The catalogue's count of results; None while it is unknown."""

    @property
    def pages(self) -> int:
        """The number of result pages read."""

    @property
    def expected(self) -> int | None:
        """The most products that this can still yield; None while that is unknown."""

    def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product."""


class ManyDownloader(Protocol):
    """Downloads products of a run, one call each: `Downloader` in this process, or an engine in others."""

    @property
    def meter(self) -> Meter:
        """Counts the archive bytes received so far."""

    @property
    def tuning(self) -> TransferTuning:
        """The figures in use."""

    @property
    def max_concurrent(self) -> int:
        """Number of calls that may run at once."""

    def __call__(self, product: Product, *, wish: Wish | None = None) -> Awaitable[Outcome | Later]:
        """Download one product, skip it, or postpone it; see `Downloader`."""

    def assist(self) -> Awaitable[None]:
        """Help with running downloads, until there are none."""

    def take_unsettled(self) -> list[Outcome]:
        """Return and clear the outcomes of downloads that were cancelled right after publishing their archive."""


class Run:
    """One run over many products; `download` is called once.

    Parameters
    ----------
    downloader
        Downloads one product.
    options
        How many products wait between search and workers, and the limits at which the run ends.
    on_outcome
        Called with each outcome, in order of time; None: not reported.

    Attributes
    ----------
    report
        What was done so far, also when the run was cancelled or stopped by an error.
    """

    def __init__(
        self,
        downloader: ManyDownloader,
        progress: Progress,
        options: DownloadOptions,
        *,
        timing: Timing,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        self._downloader = downloader
        self._progress = progress
        self._workers = options.workers
        self._timing = timing
        self._on_outcome = on_outcome
        self._budget = Budget(options, timing, downloader.meter, downloader.assist)
        self.report = Report()

    async def download(self, products: ToDownload, path: Path | None, *, wish: Wish | None = None) -> None:
        """Download all products, or as many as the limits allow, and write the report.

        Parameters
        ----------
        path
            Path of the report as JSON, which is written however the run ends; None: no report.
        wish
            Which members of each archive are wanted; None: what the settings say.

        Raises
        ------
        ConfigError
            The report cannot be written there.
        AuthenticationError
            The store requires a login.
        StorageError
            A folder is full or not writable.
        """
        begun, moved_before = time.monotonic(), self._downloader.meter.total
        search_error: CollgsError | None = None
        stopped_by: BaseException | None = None
        with RunReportWriter(path) as report_writer:
            try:
                async with self._budget:
                    search_error = await run_pipeline(
                        self._announced(products),
                        lambda product: self._budget.within(partial(self._downloader, product, wish=wish)),
                        partial(self._record, report_writer),
                        workers=self._downloader.max_concurrent,
                        queue_size=self._workers,
                        idle=self._downloader.assist,
                        timing=self._timing,
                        max_put_off=self._downloader.tuning.max_put_off,
                    )
                if search_error:
                    log.error("the search ended early: %s", search_error)
            except BaseException as stop:
                stopped_by = stop
                raise
            finally:
                unsettled = self._downloader.take_unsettled()
                full = _record_all(report_writer, unsettled)
                moved, seconds = self._downloader.meter.total - moved_before, time.monotonic() - begun
                written = report_writer.report(products.total, products.pages, search_error, seconds, moved)
                self.report = replace(
                    written,
                    stopped_by=stopped_by if isinstance(stopped_by, CollgsError) else full or self._budget.limit,
                    left=None if products.expected is None else max(0, products.expected - written.found),
                    left_out=dict(products.excluded),
                    missing=tuple(products.missing),
                )
                for outcome in unsettled:
                    self._tell(outcome)
                _write(report_writer, self.report, already_stopped=stopped_by is not None)

    async def _announced(self, products: ToDownload) -> AsyncGenerator[Product, None]:
        """Yield products, and report their expected number whenever it changes."""
        expected = None
        async with aclosing(aiter(products)) as source:
            async for product in source:
                if products.expected is not None and products.expected != expected:
                    expected = products.expected
                    self._progress.expect(expected)
                yield product

    def _record(self, report_writer: RunReportWriter, outcome: Outcome) -> None:
        """Record one outcome in the report, and hand it to the caller, also where the report's disk is full."""
        try:
            report_writer.record(outcome)
        finally:
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if self._on_outcome is not None:
            self._on_outcome(outcome)


def _record_all(report_writer: RunReportWriter, outcomes: Iterable[Outcome]) -> StorageError | None:
    """Record what finished at the moment the run was stopped; return the error where that fails."""
    full = None
    for outcome in outcomes:
        try:
            report_writer.record(outcome)
        except StorageError as error:
            full = error
    return full


def _write(report_writer: RunReportWriter, report: Report, *, already_stopped: bool) -> None:
    """Write the report; where that fails after another error has stopped the run, only log it."""
    try:
        report_writer.write(report)
    except StorageError as error:
        if not already_stopped:
            raise
        log.error("%s", error)
