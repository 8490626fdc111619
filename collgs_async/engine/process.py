"""The downloads of one process of many: one session and one downloader, in a thread with its own event loop.

The process that leads the run tells each second how many requests are allowed, and is told what was done. Without a
word of it for a minute the engine ends: nobody would take its results, and a leader that goes on starts another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from collgs_async import __version__
from collgs_async.engine.events import CollectedMessages, CollectedProgress
from collgs_async.engine.wire import FORMAT, config_from_wire, error_to_wire, outcome_to_wire, product_from_wire
from collgs_async.errors import CollgsError
from collgs_async.http.limits import RateLimiter
from collgs_async.http.shared_limits import GrantedLimiter, SharedLimits
from collgs_async.models.timing import Timing, wait_completed
from collgs_async.models.wish import Wish
from collgs_async.pipeline import Later
from collgs_async.transfer.store_client import StoreClient
from collgs_async.transfer.tuning import TransferTuning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from collgs_async.models.product import Outcome, Product
    from collgs_async.transfer.downloader import Downloader

__all__ = ["Order", "ProcessEngine", "this_process"]

log = logging.getLogger("collgs_async")

_LOOK: Final = 0.5
"""Seconds between two looks at how long the leading process has been silent."""


def this_process() -> dict[str, Any]:
    """Return what must be alike in all processes of a run, and which one this is."""
    return {
        "format": FORMAT,
        "version": __version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "process": f"{socket.gethostname()}:{os.getpid()}",
    }


@dataclass(frozen=True, slots=True)
class Order:
    """What a run asks of each of its processes, as plain values.

    Attributes
    ----------
    run
        Identifier of the run.
    leader
        `this_process` of the one that leads it.
    settings
        The settings; see `config_to_wire`.
    tuning
        Fields of `TransferTuning`.
    mark
        A file that each process must find, since all write to the same folder; empty: to an object store.
    silence
        Seconds without a word of the leader after which the engine ends.
    """

    run: str
    leader: Mapping[str, Any]
    settings: Mapping[str, Any]
    tuning: Mapping[str, Any]
    mark: str
    silence: float = 60.0

    def refusal(self) -> str | None:
        """Return why this process cannot take part; None: it can."""
        here, leader = this_process(), self.leader
        if (here["version"], here["format"]) != (leader["version"], leader["format"]):
            return f"expected collgs-async {leader['version']}, as here, found {here['version']}"
        if here["python"] != leader["python"]:
            return f"expected Python {leader['python']}, as here, found {platform.python_version()}"
        if self.mark and not Path(self.mark).exists():
            folder = Path(self.mark).parent
            return f"expected the output folder {folder} to be the one here, on a shared disk, found another or none"
        return None


class _EngineClient(StoreClient):
    """A session with a downloader for products that are found elsewhere."""

    async def open_downloader(self) -> Downloader:
        """Return the downloader."""
        return await self._open_downloader()


class ProcessEngine:
    """The downloads of this process.

    Any thread may call `fetch`; what is asynchronous belongs to the caller's loop, and waits for the engine's.

    Attributes
    ----------
    ended
        Done once the thread has nothing left to do, and will answer nobody.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process = this_process()["process"]
        self._name = f"{self._process}:{uuid4().hex[:8]}"  # a process may have several, one after the other
        self._config = config_from_wire(order.settings)
        self._progress = CollectedProgress()
        self._messages = CollectedMessages()
        options, timing = self._config.download_options, Timing()
        self._limits = SharedLimits(
            GrantedLimiter(options.workers, sleep=timing.sleep), RateLimiter(options.limit_rate, timing=timing)
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="collgs-async engine", daemon=True)
        self._opened: Future[None] = Future()
        self.ended: Future[None] = Future()
        self._calls: set[Future[Any]] = set()
        self._calling = threading.Lock()
        self._end = asyncio.Event()
        self._heard_at = time.monotonic()
        self._has_stopped = False
        self._running: dict[asyncio.Task[dict[str, Any]], str] = {}
        self._assistants: set[asyncio.Task[None]] = set()
        self._put_off: dict[str, Callable[[], Awaitable[Outcome | Later]]] = {}
        self._unsettled: dict[str, Outcome] = {}
        self._downloader: Downloader

    def start(self) -> None:
        """Start the thread; return when its session is open.

        Raises
        ------
        StorageError
            The output folder cannot be looked through.
        """
        self._thread.start()
        self.wait_open()

    @property
    def is_open(self) -> bool:
        """Whether its session is open, or has been."""
        return self._opened.done() and self._opened.exception() is None

    def wait_open(self) -> None:
        """Return when the session is open, which another thread has started; raises as `start`."""
        self._opened.result()

    def close(self) -> None:
        """End all downloads, and the thread."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._main())
            except Exception as error:
                if self._opened.done():
                    log.debug("the engine of this process has ended", exc_info=True)
                else:
                    self._opened.set_exception(error)
        with self._calling:  # what was asked after the last round of the loop
            for call in list(self._calls):
                call.cancel()
        self.ended.set_result(None)

    async def _main(self) -> None:
        tuning = TransferTuning(**self._order.tuning)
        client = _EngineClient(
            self._config, self._progress, credentials=None, sleep=asyncio.sleep, tuning=tuning, shared=self._limits
        )
        async with client:
            self._downloader = await client.open_downloader()
            self._hear()
            watch = asyncio.create_task(self._watch())
            self._forward_messages()
            self._opened.set_result(None)
            try:
                await self._end.wait()
                await self._stop()
            finally:
                watch.cancel()
                log.removeHandler(self._messages)

    def _forward_messages(self) -> None:
        """Collect the messages of this process, unless the leader's own are among them."""
        if self._order.leader["process"] != self._process:
            log.addHandler(self._messages)
            log.propagate = False

    def _hear(self) -> None:
        self._heard_at = time.monotonic()

    async def _watch(self) -> None:
        """Fall to one request when the leader is silent, then end."""
        while not self._end.is_set():
            await asyncio.sleep(min(_LOOK, self._order.silence / 4))
            silent = time.monotonic() - self._heard_at
            if silent > self._order.silence / 2:
                self._limits.requests.grant(min(1, self._limits.requests.granted), time.monotonic())
            if silent > self._order.silence:
                self._end.set()

    async def _cancel_all(self) -> None:
        tasks = [*self._running, *self._assistants]
        for task in tasks:
            task.cancel()
        if tasks:
            await wait_completed(asyncio.wait(tasks))

    # ------------------------------------------------------------------------------------------ called by others

    def fetch(self, product: Mapping[str, Any], wish: Mapping[str, Any] | None) -> dict[str, Any]:
        """Download one product, and return how it ended; blocks the calling thread.

        Parameters
        ----------
        product, wish
            As `product_to_wire` and `Wish.as_dict` make them; without a wish, that of the settings.

        Returns
        -------
        dict
            One of: ``outcome``; ``later``, the seconds after which to call again; ``error``, which ends the run;
            ``stopped``, where its download was ended. Beside it are ``moved``, the bytes of this engine so far, and
            ``events``, unless the engine has ended.
        """
        work = self._fetch(product_from_wire(product), None if wish is None else Wish.from_dict(wish))
        try:
            result: dict[str, Any] = self._call(work).result()
        except CancelledError:  # the engine has ended
            return {"stopped": True}
        return result

    async def exchange(self, permits: int, moment: float, share: float, *, assist: bool) -> dict[str, Any]:
        """Take what is allowed, and return what was done since the last call; nothing if the engine has ended.

        Parameters
        ----------
        permits, moment
            As for `GrantedLimiter.grant`.
        share
            What this process may use of the rate, from 0 to 1.
        assist
            Whether permits without a product of their own help with others.
        """
        reply: dict[str, Any] | None = await self._in_loop(
            partial(self._exchange, permits, moment, share, assist=assist)
        )
        return reply or {}

    async def stop(self) -> None:
        """End all downloads in good order, and begin no other."""
        await self._in_loop(self._stop)

    async def _in_loop(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        call = asyncio.wrap_future(self._call(work()))
        await asyncio.wait([call])
        return None if call.cancelled() else call.result()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine in the loop of the engine; where that has ended, the future is cancelled."""
        with self._calling:
            if self._loop.is_closed():
                work.close()
                call: Future[Any] = Future()
                call.cancel()
                return call
            call = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    # ------------------------------------------------------------------------------------------- in the own loop

    async def _stop(self) -> None:
        self._has_stopped = True
        await self._cancel_all()

    async def _exchange(self, permits: int, moment: float, share: float, *, assist: bool) -> dict[str, Any]:
        self._hear()
        limiter = self._limits.requests
        limiter.grant(permits, moment)
        self._limits.rate.share = share
        if assist and self._running:
            self._add_assistants(permits - len(self._assistants))
        return {
            "active": limiter.active,
            "waiting": limiter.waiting,
            "rejections": limiter.take_rejections(),
            **self._figures(),
            "events": self._progress.take(),
            "waits_for": self._progress.waits_for,
            "messages": self._messages.take(),
        }

    def _add_assistants(self, count: int) -> None:
        for _ in range(count):
            task = asyncio.create_task(self._assist())
            self._assistants.add(task)
            task.add_done_callback(self._assistants.discard)

    async def _assist(self) -> None:
        with suppress(CollgsError):  # the download that it helped with meets the same error
            await self._downloader.assist()

    async def _fetch(self, product: Product, wish: Wish | None) -> dict[str, Any]:
        name = product.identifier
        task = asyncio.create_task(self._attempt(product, wish))
        self._running[task] = name
        try:
            await asyncio.wait([task])
        finally:
            del self._running[task]
        self._unsettled |= {one.product.identifier: one for one in self._downloader.take_unsettled()}
        if not task.cancelled():
            result = task.result()
        elif name in self._unsettled:
            result = {"outcome": outcome_to_wire(self._unsettled.pop(name))}
        else:
            result = {"stopped": True}
        return {**result, **self._figures(), "events": self._progress.take_of(name)}

    def _figures(self) -> dict[str, Any]:
        """Return the bytes of this engine so far."""
        return {"engine": self._name, "moved": self._downloader.meter.total}

    async def _attempt(self, product: Product, wish: Wish | None) -> dict[str, Any]:
        if self._has_stopped:
            raise asyncio.CancelledError
        again = self._put_off.pop(product.identifier, None)
        try:
            result = await (self._downloader(product, wish=wish) if again is None else again())
            # An outage is waited for here: all other products of the store would have to wait as well.
            while isinstance(result, Later) and (turn := result.turn) is not None:
                if not (turn.has_come() or turn.takes_one()):
                    await turn.wait()
                result = await result.again()
        except CollgsError as error:
            return {"error": error_to_wire(error)}
        if isinstance(result, Later):
            self._put_off[product.identifier] = result.again
            return {"later": result.seconds}
        return {"outcome": outcome_to_wire(result)}
