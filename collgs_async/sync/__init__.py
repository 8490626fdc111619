"""The library without ``await``, for scripts and notebooks, which see the progress of downloads; see `SyncClient`.

Each function opens a session of its own, and signs in anew where the store requires it; for many calls in a row, use
`SyncClient`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from collgs_async.models.product import Product
from collgs_async.sync.client import SyncClient

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Outcome
    from collgs_async.models.progress import GivenProgress
    from collgs_async.models.query import Query
    from collgs_async.models.report import Report
    from collgs_async.reporting.products import Products
    from collgs_async.selection.plan import Plan

__all__ = ["download", "plan", "pull", "run", "search"]


def search(config: Config, query: Query | None = None) -> Products:
    """Search the catalogue and return all selected products; see `Client.search`.

    Parameters
    ----------
    query
        The query; None: that of the configuration's ``parameters``.

    Returns
    -------
    Products
        A list, which a notebook displays as a table and on a map.

    Raises
    ------
    CatalogueError
        The request failed, or the response holds no results.
    """
    with SyncClient(config) as client:
        return client.search(query).collect()


@overload
def download(config: Config, products: Product, *, progress: GivenProgress = "auto") -> Outcome: ...


@overload
def download(
    config: Config, products: Iterable[Product], *, progress: GivenProgress = "auto", report: str | Path | None = None
) -> Report: ...


def download(
    config: Config,
    products: Product | Iterable[Product],
    *,
    progress: GivenProgress = "auto",
    report: str | Path | None = None,
) -> Outcome | Report:
    """Download one product, or all of a list in one session with one sign-in.

    Parameters
    ----------
    products
        A product: see `Client.download`. Or products, such as a list: see `Client.download_all`.
    progress
        As for `SyncClient`.
    report
        Path of the report as JSON, for a list only; None: no report.

    Returns
    -------
    Outcome or Report
        Of one product its outcome, also when it failed; of several the report.
    """
    with SyncClient(config, progress) as client:
        if isinstance(products, Product):
            if report is not None:
                raise TypeError("report: expected a list of products beside it, found a single one")
            return client.download(products)
        return client.download_all(products, report=report)


def run(
    config: Config, query: Query | None = None, *, progress: GivenProgress = "auto", report: str | Path | None = None
) -> Report:
    """Download all selected products of a search; see `Client.download_all`."""
    with SyncClient(config, progress) as client:
        return client.download_all(query, report=report)


def plan(config: Config, query: Query | None = None, *, sizes: bool = False) -> Plan:
    """Select products, and return them as a plan; see `Client.create_plan`."""
    with SyncClient(config) as client:
        return client.create_plan(query, sizes=sizes)


def pull(config: Config, plan: Plan, *, progress: GivenProgress = "auto", report: str | Path | None = None) -> Report:
    """Download exactly the products of a plan; see `Client.download_plan`."""
    with SyncClient(config, progress) as client:
        return client.download_plan(plan, report=report)
