"""What the workers of a Dask cluster run; functions of this module travel by their names."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed import Status, WorkerPlugin, get_worker

from collgs_async.engine.process import Order, ProcessEngine, this_process
from collgs_async.errors import CollgsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

__all__ = ["begin", "end", "exchange", "fetch_product", "look", "stop"]

_engines: dict[str, ProcessEngine] = {}
"""The engine of each run; workers that are threads of one process share it."""


class _EndsWithWorker(WorkerPlugin):  # type: ignore[misc]
    """Ends an engine when its worker ends, so that no lock is left; only this worker knows of it."""

    def __init__(self, engine: ProcessEngine) -> None:
        self._engine = engine

    async def teardown(self, worker: object) -> None:
        """End the engine."""
        del worker
        await asyncio.to_thread(self._engine.close)


def look(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return which process this is, and why it cannot take part in a run."""
    return {**this_process(), "refused": Order(**order).refusal()}


async def begin(order: Mapping[str, Any], dask_worker: Any) -> dict[str, Any]:
    """Start the engine of a run, unless this process has it, and wait for it; return why there is none.

    Parameters
    ----------
    dask_worker
        The worker, as Dask fills in.
    """
    if dask_worker.status not in {Status.running, Status.paused}:
        raise ConnectionError("it is leaving the cluster")
    asked = Order(**order)
    if refused := asked.refusal():
        return {"refused": refused}
    try:
        if (engine := _engines.get(asked.run)) is not None:
            await asyncio.to_thread(engine.wait_open)  # another worker of this process has started it
        else:
            await _start(asked, dask_worker)
    except CollgsError as error:
        return {"refused": str(error)}
    return {"refused": None}


async def _start(order: Order, worker: Any) -> None:
    engine = _engines[order.run] = ProcessEngine(order)
    plugin = _EndsWithWorker(engine)
    engine.ended.add_done_callback(partial(_forget, order.run, engine, plugin, worker))
    starting = asyncio.create_task(asyncio.to_thread(engine.start))
    await worker.plugin_add(plugin, name=_plugin_name(order.run))
    await starting


def _forget(run: str, engine: ProcessEngine, plugin: WorkerPlugin, worker: Any, _: Future[None]) -> None:
    """Drop what this process knows of an engine that has ended; runs in the thread of the engine."""
    if _engines.get(run) is engine:
        del _engines[run]
    worker.loop.add_callback(_drop, worker.plugins, _plugin_name(run), plugin)


def _drop(plugins: dict[str, WorkerPlugin], name: str, plugin: WorkerPlugin) -> None:
    if plugins.get(name) is plugin:
        del plugins[name]


def _plugin_name(run: str) -> str:
    return f"collgs-{run}"


def _engine(run: str) -> ProcessEngine | None:
    engine = _engines.get(run)
    return engine if engine is not None and engine.is_open else None


def fetch_product(run: str, product: Mapping[str, Any], wish: Mapping[str, Any] | None) -> dict[str, Any]:
    """Download one product in a thread of the worker, and return how it ended; see `ProcessEngine.fetch`."""
    engine = _engine(run)
    if engine is None:
        return {"refused": "it is not ready"}
    return {**engine.fetch(product, wish), "address": get_worker().address}


async def exchange(run: str, permits: int, moment: float, share: float, assist: bool) -> dict[str, Any]:
    """Take what is allowed, and return what was done; see `ProcessEngine.exchange`."""
    engine = _engine(run)
    return {} if engine is None else await engine.exchange(permits, moment, share, assist=assist)


async def stop(run: str) -> None:
    """End all downloads in good order."""
    if engine := _engine(run):
        await engine.stop()


async def end(run: str) -> None:
    """End the engine."""
    if engine := _engine(run):
        await asyncio.to_thread(engine.close)
