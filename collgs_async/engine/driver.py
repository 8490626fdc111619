"""Download the products of a run in the processes of a Dask cluster: one task a product."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
import math
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from collgs_async.engine.cluster import connected
from collgs_async.engine.events import repeat_events
from collgs_async.engine.exchange import Exchange, problem_of
from collgs_async.engine.mark import folder_mark
from collgs_async.engine.process import Order, this_process
from collgs_async.engine.wire import config_to_wire, error_from_wire, outcome_from_wire, product_to_wire
from collgs_async.errors import ConfigError, EngineError
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.pipeline import Later
from collgs_async.transfer.budget import Meter
from collgs_async.transfer.outcome_log import log_outcome
from collgs_async.transfer.tuning import TransferTuning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import Config
    from collgs_async.models.engine import DaskEngine
    from collgs_async.models.product import Outcome, Product
    from collgs_async.models.progress import Progress
    from collgs_async.models.wish import Wish

__all__ = ["DaskDownloader"]

log = logging.getLogger("collgs_async")

_FETCH: Final = "__import__('collgs_async.engine.tasks', fromlist=['fetch_product']).fetch_product(*words)"
"""The task of a product, as text: a function without its package would end the connection of a worker."""

_AGAIN: Final = 1.0
"""Seconds before a product is handed out again that its process has given back."""

_MOST_GIVEN_BACK: Final = 30
"""Times in a row that a product may be given back."""

_DIED: Final = "each process that was to fetch it has died, one after the other; is there too little memory?"

_ALONE: Final = 120.0
"""Seconds without any process on this machine after which the run ends."""

_STOPPING: Final = 30.0
"""Seconds to wait for processes that end their downloads."""


class DaskDownloader:
    """Downloads products by the workers of a cluster, one call each; an asynchronous context manager around a run.

    Parameters
    ----------
    config
        The settings; the number of workers is that of the connections of all processes together.
    progress
        Receives the events of all processes.
    tuning
        Figures of the engine; None for the defaults.

    Attributes
    ----------
    meter
        Counts the archive bytes that all processes have received, as far as they have told.
    tuning
        The figures in use.
    """

    def __init__(self, engine: DaskEngine, config: Config, progress: Progress, tuning: TransferTuning | None) -> None:
        self.meter = Meter()
        self.tuning = tuning or TransferTuning()
        self._engine = engine
        self._config = config
        self._progress = progress
        self._run = uuid4().hex[:12]
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._exchange: Exchange
        self._futures: dict[Any, Product] = {}
        self._serials = itertools.count()
        self._assisting = 0
        self._none_running = asyncio.Event()
        self._none_running.set()
        self._is_lost = False
        self._stopping: asyncio.Task[None] | None = None
        self._unsettled: list[Outcome] = []

    async def __aenter__(self) -> Self:
        workers = self._config.download_options.workers
        async with AsyncExitStack() as stack:
            mark = ""
            if self._config.store_url is None:
                mark = str(stack.enter_context(folder_mark(self._config.folder, self._run)))
            self._client = await stack.enter_async_context(connected(self._engine, workers))
            order = Order(self._run, this_process(), config_to_wire(self._config), asdict(self.tuning), mark)
            await self._check(order)
            stack.push_async_callback(self._take_back)
            # Processes of this machine begin again by themselves; those of a cluster may come hours later.
            alone = _ALONE if self._engine.address is None else math.inf
            exchange = Exchange(
                *(self._client, order, workers, self.meter, self._progress),
                longest_alone=alone,
                give_up=self._give_up,
            )
            self._exchange = await stack.enter_async_context(exchange)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await wait_completed(self._stack.aclose())

    async def _check(self, order: Order) -> None:
        """Refuse a cluster with a process that cannot take part.

        Raises
        ------
        ConfigError
            With one line for each host of such processes.
        """
        from collgs_async.engine import tasks

        found = await self._client.run(tasks.look, asdict(order), on_error="return", nanny=False)
        problems = {}
        for address, seen in found.items():
            host = address.partition("://")[2].rpartition(":")[0]
            if problem := problem_of(seen, order):
                problems[host] = problem
        if problems:
            raise ConfigError([f"engine: worker {host}: {problem}" for host, problem in sorted(problems.items())])
        threads = await self._client.nthreads()
        where = "on this machine" if self._engine.address is None else f"of the cluster at {self._engine.address}"
        log.info("Dask: %s %s", plural(len(threads), "process", "processes"), where)

    async def _take_back(self) -> None:
        """End the engine of each process; one that does not hear this ends by itself."""
        from collgs_async.engine import tasks

        if self._is_lost:
            return
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_STOPPING):
                await self._client.run(tasks.end, self._run, on_error="return", nanny=False)

    @property
    def max_concurrent(self) -> int:
        """Number of calls that may run at once: twice the connections, so that no process waits for a product."""
        return 2 * self._config.download_options.workers

    async def __call__(self, product: Product, *, wish: Wish | None = None) -> Outcome | Later:
        """Download one product of many in any process, or skip it.

        Raises
        ------
        AuthenticationError, StorageError, ConfigError
            A process has met what ends a run.
        EngineError
            The cluster is lost.
        """
        return await self._try(product, wish, None)

    async def _try(self, product: Product, wish: Wish | None, process: str | None) -> Outcome | Later:
        """Hand a product out, and return what became of it.

        Parameters
        ----------
        process
            The one that has postponed it, and knows for how long it has waited; None: any.
        """
        times, given_back = 0, ""
        while times < _MOST_GIVEN_BACK:
            result = await self._hand_out(product, wish, process)
            if "error" in result:
                raise error_from_wire(result["error"])
            if "later" in result:
                return Later(partial(self._try, product, wish, result["address"]), result["later"])
            if "outcome" in result:
                return self._settled(product, result)
            given_back = result.get("refused", "its download was ended")
            # Dask may move a product to a process that is left out, again and again while the others are busy.
            times += not (self._exchange.left_out and self._exchange.taking_part)
            await asyncio.sleep(_AGAIN)
        raise EngineError(f"no process of the cluster takes {product.identifier}: {given_back}")

    async def _hand_out(self, product: Product, wish: Wish | None, process: str | None) -> Mapping[str, Any]:
        """Submit the task of a product, and return its result: a failure where each process has died with it."""
        from distributed.scheduler import KilledWorker

        wished = None if wish is None else wish.as_dict()
        among = None if process is None else [process]
        if among is None and self._exchange.left_out:
            among = self._exchange.taking_part or None
        future = self._client.submit(
            *(eval, _FETCH, {"words": (self._run, product_to_wire(product), wished)}),
            key=f"collgs-{self._run}-{next(self._serials)}",
            pure=False,
            workers=among,
            allow_other_workers=among is not None,
        )
        self._futures[future] = product
        self._exchange.products[product.identifier] = product
        self._none_running.clear()
        self._choose_assistance()
        try:
            return self._heard(product, await future)
        except KilledWorker as error:
            log.debug("%s: %s", product.identifier, error)
            return {"outcome": {"status": "failed", "error": {"kind": "TransferError", "message": _DIED}}}
        except Exception as error:
            if future.status == "error":  # of the task, such as a process that has not this package
                log.debug("%s: %s: %s", product.identifier, type(error).__name__, error)
                return {"refused": f"{type(error).__name__}: {error}"}
            if not isinstance(error, concurrent.futures.CancelledError | OSError):
                raise
            self._is_lost = True  # these are what Dask raises when the scheduler is gone
            raise EngineError("the Dask cluster is lost, with what it was fetching") from error
        except asyncio.CancelledError:
            await wait_completed(self._stop())
            raise
        finally:
            del self._futures[future]
            self._exchange.products.pop(product.identifier, None)
            if not self._futures:
                self._none_running.set()
            self._choose_assistance()

    async def _give_up(self) -> None:
        """Let the run end, since nothing will become of what is handed out."""
        await self._client.cancel(list(self._futures))

    def _heard(self, product: Product, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the bytes and the last events of a product from a result."""
        if "moved" in result:
            self._exchange.count(result)
            if result["events"]:
                repeat_events(self._progress, product, result["events"])
        return result

    def _settled(self, product: Product, result: Mapping[str, Any]) -> Outcome:
        outcome = outcome_from_wire(product, result["outcome"], folder=self._config.folder)
        log_outcome(outcome)
        self._progress.finished(outcome)
        return outcome

    async def assist(self) -> None:
        """Let processes with permits to spare help with the downloads of others of theirs, until none is running."""
        self._assisting += 1
        self._choose_assistance()
        try:
            await self._none_running.wait()
        finally:
            self._assisting -= 1
            self._choose_assistance()

    def _choose_assistance(self) -> None:
        self._exchange.assists = self._assisting > 0 and len(self._futures) < self._config.download_options.workers

    def take_unsettled(self) -> list[Outcome]:
        """Return and clear the outcomes of downloads that ended while the run was being stopped."""
        taken, self._unsettled = self._unsettled, []
        return taken

    async def _stop(self) -> None:
        """End the downloads of all processes, once, and take what is known of them."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop_all())
        await asyncio.shield(self._stopping)

    async def _stop_all(self) -> None:
        from collgs_async.engine import tasks

        if self._is_lost:
            return
        results = {asyncio.ensure_future(_result(future)): product for future, product in self._futures.items()}
        try:
            async with asyncio.timeout(_STOPPING):
                left = set(results)
                while left and await self._client.nthreads():  # without a process there will be no result
                    await self._client.run(tasks.stop, self._run, on_error="return", nanny=False)
                    _, left = await asyncio.wait(left, timeout=_AGAIN)  # then again: a process may have joined
        except (OSError, TimeoutError) as error:
            log.warning("not all processes could be told to stop: %s", str(error) or "no answer")
        for one, product in results.items():
            one.cancel()  # has no effect on one that is done
            if one.done() and not one.cancelled() and one.exception() is None:
                result = self._heard(product, one.result())
                if "outcome" in result:
                    self._unsettled.append(self._settled(product, result))


async def _result(future: Any) -> Any:
    return await future
