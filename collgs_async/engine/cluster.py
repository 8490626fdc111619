"""Connect to a Dask cluster, or start one on this machine for one run."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from collgs_async.engine.check import EXPECTED_EXTRA, import_distributed
from collgs_async.errors import ConfigError, EngineError
from collgs_async.models.timing import wait_completed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from collgs_async.models.engine import DaskEngine

__all__ = ["connected", "local_processes"]

_GUARD: Final = 'in a script, what begins a run must stand below: if __name__ == "__main__":'


def local_processes(engine: DaskEngine, workers: int) -> int:
    """Return the number of processes on this machine: as many as cores, each with a connection, and two at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return engine.processes or max(2, min(cores, workers))


@asynccontextmanager
async def connected(engine: DaskEngine, workers: int) -> AsyncIterator[Any]:
    """Yield an asynchronous client of the cluster; one on this machine is started, and ended afterwards.

    Parameters
    ----------
    workers
        Maximum number of connections of the run.

    Raises
    ------
    ConfigError
        The package that this needs is not installed.
    EngineError
        The cluster cannot be reached or started.
    """
    distributed = await import_distributed()
    with _silent():
        if engine.address is not None:
            async with _client(distributed, engine.address, None) as client:
                yield client
            return
        start = asyncio.to_thread(_start, distributed, local_processes(engine, workers), workers)
        starting = asyncio.ensure_future(start)
        try:
            cluster = await wait_completed(starting)
            async with _client(distributed, cluster.scheduler_address, cluster.security) as client:
                yield client
        finally:
            if starting.done() and not starting.cancelled() and starting.exception() is None:
                await wait_completed(asyncio.to_thread(starting.result().close))


@asynccontextmanager
async def _client(distributed: Any, address: str, security: Any) -> AsyncIterator[Any]:
    client = distributed.Client(address, security=security, asynchronous=True, set_as_default=False)
    try:
        await client
    except (OSError, TimeoutError, TypeError, ValueError) as error:  # without certificates for tls://: a TypeError
        await client.close()
        raise EngineError(f"the Dask scheduler at {address} does not answer: {error}") from error
    try:
        yield client
    finally:
        await client.close()


def _start(distributed: Any, processes: int, workers: int) -> Any:
    """Start processes on this machine; blocks.

    They do not hear Ctrl-C and a hang-up of the terminal, which the leading process passes on in good order. Only they
    can talk to the scheduler: the connections are encrypted, with certificates that no file holds.
    """
    import dask

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise EngineError(_GUARD)
    try:
        security = distributed.Security.temporary()
    except ImportError:  # Dask itself does without it
        raise ConfigError(f"{EXPECTED_EXTRA}, found no module cryptography") from None
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # of this thread, and its heirs
    settings = {
        "distributed.comm.timeouts.connect": "120s",  # processes start slowly beside others
        "distributed.scheduler.worker-ttl": None,  # Ctrl-Z stops them all
        "distributed.worker.profile.enabled": False,
    }
    try:
        with dask.config.set(settings):
            return distributed.LocalCluster(
                n_workers=processes,
                threads_per_worker=-(-workers // processes) + 1,  # one is verified while the next one is fetched
                processes=True,
                host="127.0.0.1",
                security=security,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                memory_limit=0,
            )
    except RuntimeError as error:
        raise EngineError(f"the processes of the engine cannot be started: {error}; {_GUARD}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the messages of Dask off the screen: what matters of them is told by the run."""
    names = [name for name in logging.Logger.manager.loggerDict if name.partition(".")[0] in {"distributed", "tornado"}]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
