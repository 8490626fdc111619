"""The library without ``await``, for scripts and notebooks.

Each function opens a session of its own, and signs in anew where the store requires it; for many calls in a row, use
`SyncClient`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.sync.client import SyncClient

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Outcome, Product, Report
    from collgs_async.models.progress import Progress
    from collgs_async.models.query import Query
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


def download(config: Config, product: Product, *, progress: Progress | None = None) -> Outcome:
    """Download one product; see `Client.download`."""
    with SyncClient(config, progress) as client:
        return client.download(product)


def run(
    config: Config, query: Query | None = None, *, progress: Progress | None = None, report: str | Path | None = None
) -> Report:
    """Download all selected products of a search; see `Client.download_all`."""
    with SyncClient(config, progress) as client:
        return client.download_all(query, report=report)


def plan(config: Config, query: Query | None = None, *, sizes: bool = False) -> Plan:
    """Select products, and return them as a plan; see `Client.create_plan`."""
    with SyncClient(config) as client:
        return client.create_plan(query, sizes=sizes)


def pull(config: Config, plan: Plan, *, progress: Progress | None = None, report: str | Path | None = None) -> Report:
    """Download exactly the products of a plan; see `Client.download_plan`."""
    with SyncClient(config, progress) as client:
        return client.download_plan(plan, report=report)
