"""What the workers of a Dask cluster run; functions of this module travel by their names."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from collgs_async.engine.process import Order, ProcessEngine, this_process
from collgs_async.errors import CollgsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EnginePlugin", "exchange", "fetch_product", "look", "stop"]

_engines: dict[str, ProcessEngine | str] = {}
"""The engine of each run, or why this process has none; workers that are threads of one process share it."""


class EnginePlugin(WorkerPlugin):  # type: ignore[misc]
    """Gives each worker process an engine for a run, also those that join it later."""

    def __init__(self, order: Order) -> None:
        self._order = asdict(order)  # as plain values: the worker may have another release
        self.name = f"collgs-{order.run}"

    async def setup(self, worker: object) -> None:
        """Start the engine, unless another worker of this process has done so."""
        del worker
        order = Order(**self._order)
        if order.run in _engines:
            return
        _engines[order.run] = refusal = order.refusal() or "it is not ready yet"
        if order.refusal() is None:
            try:
                engine = ProcessEngine(order)
                await asyncio.to_thread(engine.start)
            except CollgsError as error:
                refusal = str(error)
            else:
                _engines[order.run] = engine
                return
        _engines[order.run] = refusal

    async def teardown(self, worker: object) -> None:
        """End the engine."""
        del worker
        engine = _engines.pop(self._order["run"], None)
        if isinstance(engine, ProcessEngine):
            await asyncio.to_thread(engine.close)


def look(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return which process this is, and why it cannot take part in a run."""
    return {**this_process(), "refused": Order(**order).refusal()}


def fetch_product(run: str, product: Mapping[str, Any], wish: Mapping[str, Any] | None) -> dict[str, Any]:
    """Download one product in a thread of the worker, and return how it ended; see `ProcessEngine.fetch`."""
    engine = _engines.get(run)
    if not isinstance(engine, ProcessEngine):
        return {"refused": engine or "it has left the run"}
    return {**engine.fetch(product, wish), "address": get_worker().address}


async def exchange(run: str, permits: int, moment: float, share: float, assist: bool) -> dict[str, Any]:
    """Take what is allowed, and return what was done; see `ProcessEngine.exchange`."""
    engine = _engines.get(run)
    if not isinstance(engine, ProcessEngine):
        return {"refused": engine or "it has left the run"}
    return await engine.exchange(permits, moment, share, assist=assist)


async def stop(run: str) -> None:
    """End all downloads in good order."""
    engine = _engines.get(run)
    if isinstance(engine, ProcessEngine):
        await engine.stop()
