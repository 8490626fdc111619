"""The library without ``await``, for scripts and notebooks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from collgs_async import client as app

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Outcome, Product, Report
    from collgs_async.models.progress import Progress
    from collgs_async.models.query import Query
    from collgs_async.reporting.products import Products
    from collgs_async.selection.plan import Plan

__all__ = ["download", "plan", "pull", "run", "search"]

T = TypeVar("T")


def search(config: Config, query: Query | None = None) -> Products:
    """Search the catalogue and return all selected products; see `Client.choose`.

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

    async def gather() -> Products:
        async with app.Client(config) as client:
            return await client.find(query)

    return _wait_for(gather())


def download(config: Config, product: Product, *, progress: Progress | None = None) -> Outcome:
    """Download one product; see `Client.download`."""

    async def fetch() -> Outcome:
        async with app.Client(config, progress) as client:
            return await client.download(product)

    return _wait_for(fetch())


def run(
    config: Config, query: Query | None = None, *, progress: Progress | None = None, report: str | Path | None = None
) -> Report:
    """Download all selected products of a search; see `Client.run`."""
    return _wait_for(app.run(config, query, progress=progress, report=report))


def plan(config: Config, query: Query | None = None, *, sizes: bool = False) -> Plan:
    """Select products, and return them as a plan; see `Client.plan`."""

    async def choose() -> Plan:
        async with app.Client(config) as client:
            return await client.plan(query, sizes=sizes)

    return _wait_for(choose())


def pull(config: Config, plan: Plan, *, progress: Progress | None = None, report: str | Path | None = None) -> Report:
    """Download exactly the products of a plan; see `Client.pull`."""

    async def fetch() -> Report:
        async with app.Client(config, progress) as client:
            return await client.pull(plan, report=report)

    return _wait_for(fetch())


def _wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also inside a notebook, whose thread already has a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return _in_a_thread(coroutine)


def _in_a_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    result: list[T] = []
    failure: list[BaseException] = []
    runner = asyncio.Runner()
    task: list[asyncio.Task[T]] = []

    async def main() -> T:
        task.append(asyncio.ensure_future(coroutine))
        return await task[0]

    def work() -> None:
        try:
            with runner:
                result.append(runner.run(main()))
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    # Not Thread.join: a join that Ctrl-C interrupts marks the thread as ended (before Python 3.13).
    done = threading.Event()
    threading.Thread(target=work, name="collgs-async").start()
    try:
        done.wait()
    except KeyboardInterrupt:
        # The notebook's stop button: let the run end in good order, then stop here as well.
        with suppress(RuntimeError, IndexError):  # it has not started, or has ended
            runner.get_loop().call_soon_threadsafe(task[0].cancel)
        done.wait()
        raise
    if failure:
        raise failure[0]
    return result[0]
