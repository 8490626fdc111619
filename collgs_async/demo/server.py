"""The embedded server: the catalogue, the archive store and a login page on one port of the loopback interface."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from aiohttp import web

from collgs_async.demo.catalogue import Catalogue
from collgs_async.demo.concurrency import FlowLimiter
from collgs_async.demo.dialects import STOCK
from collgs_async.demo.faults import FaultScript
from collgs_async.demo.feed import DESCRIPTION_PATH, QUICKLOOK_PATH, SEARCH_PATH
from collgs_async.demo.http import Exchange
from collgs_async.demo.login import CALLBACK_PATH, LoginHandler, read_cookies, sign_in_page
from collgs_async.demo.parameters import Limits
from collgs_async.demo.quicklooks import QuicklookHandler
from collgs_async.demo.responses import html_reply, text_reply
from collgs_async.demo.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from collgs_async.demo.concurrency import FlowsStatus
    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.faults import Fault
    from collgs_async.demo.http import RequestRecord
    from collgs_async.demo.login import SignIn
    from collgs_async.demo.responses import Response
    from collgs_async.demo.scenes import Scene

__all__ = ["DemoServer"]

_DESCRIPTION_PATHS = frozenset({DESCRIPTION_PATH, f"{SEARCH_PATH}/description"})
"""The second is the one that feeds link to."""

_THREADS = 4
_SHUTDOWN = 0.1


class DemoServer:
    """A catalogue and its archive store, to be used with ``async with``.

    Parameters
    ----------
    scenes
        The content of the catalogue.
    folder
        Where archives are created at their first request; they remain there.
    page_maximum
        The largest page; a request for a larger one is refused.
    records_per_page
        The default page size.
    rate
        Bytes per second for each archive that is sent; None: unlimited.
    faults
        Faults by identifier, or under ``"catalogue"`` for pages of results; several faults are applied one after the
        other. None: no faults.
    quicklook_faults
        Faults of quicklooks by identifier: values of `QUICKLOOK_FAULTS`. None: no faults.
    dialect
        Differences from the stock software.
    sign_in
        The login that the store requires; None: it is open to all.
    meanwhile
        Called between two searches, so that the content can change while it is listed; None: it does not.
    most_flows
        The limit on concurrent transfers of archives; further ones are refused. None: unlimited.
    flows_status
        The status of that refusal: 429 with ``Retry-After: 1``, or 403 or 200 with a message only.
    host, port
        The address to listen on; port 0: any free one.

    Attributes
    ----------
    scenes
        The content; it may be changed, in place, while the server runs.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        folder: Path,
        *,
        page_maximum: int = 100,
        records_per_page: int = 10,
        rate: float | None = None,
        faults: Mapping[str, Fault | tuple[Fault, ...]] | None = None,
        quicklook_faults: Mapping[str, Fault | tuple[Fault, ...]] | None = None,
        dialect: Dialect = STOCK,
        sign_in: SignIn | None = None,
        meanwhile: Callable[[], None] | None = None,
        most_flows: int | None = None,
        flows_status: FlowsStatus = 429,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.scenes = list(scenes)
        self._folder = folder
        self._rate = rate
        self._host = host
        self._port = port
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="demo")
        self._script = script = FaultScript(faults or {})
        self._catalogue = Catalogue(self.scenes, Limits(page_maximum, records_per_page), dialect, script)
        self._store = Store(self.scenes, folder, script, self._pool)
        self._quicklooks = QuicklookHandler(self.scenes, quicklook_faults or {}, dialect, self._pool)
        self._sign_in = sign_in
        self._meanwhile = meanwhile
        self._searches = 0
        self._flows = FlowLimiter(most_flows, flows_status)
        self._desk: LoginHandler | None = None
        self._exchanges: list[Exchange] = []
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        # A client that disconnects ends its request at once, also one that is delayed on purpose.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN)
        await runner.setup()
        self._site = web.TCPSite(runner, self._host, self._port)
        await self._site.start()
        self._runner, self._port = runner, runner.addresses[0][1]
        if self._sign_in is not None:
            self._desk = LoginHandler(self._sign_in, self._store_origin)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            open_ones = self._transports()
            await self._runner.cleanup()
            for transport in open_ones:
                transport.abort()  # one whose client reads no more would never have sent the rest
        self._pool.shutdown()

    def _transports(self) -> list[asyncio.Transport]:
        server = self._runner.server if self._runner else None
        return [one.transport for one in server.connections if one.transport is not None] if server else []

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{self._host}:{self._port}"

    @property
    def _store_origin(self) -> str:
        host = self._sign_in.host if self._sign_in else None
        return f"http://{host or self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The search address."""
        return self.origin + SEARCH_PATH

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests since the start, or since `forget`, in order."""
        return [exchange.record() for exchange in self._exchanges]

    def forget(self) -> None:
        """Clear the list of requests."""
        self._exchanges.clear()

    def replace(self, identifier: str) -> None:
        """Replace an archive by another version: other bytes and validators, the same length."""
        self._store.replace(identifier)

    def apply_fault(self, key: str, fault: Fault) -> None:
        """Apply a fault to the next requests for a product, by its identifier, or under ``"catalogue"`` for pages."""
        self._script.add(key, fault)

    async def vanish(self, seconds: float) -> None:
        """Be unreachable for some seconds, or until cancelled: connections are reset, and new ones refused."""
        if self._runner is None or self._site is None or self._runner.server is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        await self._site.stop()
        for transport in self._transports():
            transport.abort()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._site = web.TCPSite(self._runner, self._host, self._port)
            await self._site.start()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(request, self._pool, self._rate)
        self._exchanges.append(exchange)
        if exchange.method != "GET" or not request.path.startswith("/repository/"):
            return await exchange.send(request, await self._reply(request, exchange))
        if self._flows.exhausted:
            return await exchange.send(request, self._flows.refusal())
        with self._flows.one_more():
            return await exchange.send(request, await self._reply(request, exchange))

    async def _reply(self, request: web.Request, exchange: Exchange) -> Response:
        if request.path.startswith("/sso/") or request.path == CALLBACK_PATH:
            return await self._sign_in_reply(request, exchange)
        if exchange.method not in {"GET", "HEAD"}:
            return text_reply(405, "Method not allowed.\n", "text/plain", Allow="GET, HEAD")
        if request.path == SEARCH_PATH:
            if self._searches and self._meanwhile is not None:
                self._meanwhile()
            self._searches += 1
            return self._catalogue.reply(list(request.query.items()), self.origin)
        if request.path in _DESCRIPTION_PATHS:
            return self._catalogue.describe(list(request.query.items()), self.origin)
        if request.path == QUICKLOOK_PATH:
            return await self._quicklooks.reply(request.query, self.origin)
        if request.path.startswith("/repository/"):
            refusal = self._turn_away(request) if self._desk else None
            query = request.raw_path.partition("?")[2]
            return refusal or await self._store.reply(exchange.method, request.path, exchange.headers, query)
        return html_reply(404, "Not Found", "There is nothing here.")

    def _turn_away(self, request: web.Request) -> Response | None:
        """Redirect a request for an archive to the store's host, and from there to the form; None: admitted."""
        wanted = self._store_origin + request.raw_path
        if f"http://{request.host}" != self._store_origin:
            return text_reply(302, "", "text/html; charset=utf-8", Location=wanted)
        if self._desk is None or self._desk.admits(read_cookies(request.headers.get("Cookie", ""))):
            return None
        return self._desk.send_to_form(wanted)

    async def _sign_in_reply(self, request: web.Request, exchange: Exchange) -> Response:
        posted = {name: str(value) for name, value in (await request.post()).items()}
        exchange.posted = tuple(posted)
        if self._desk is None or request.path.startswith("/sso/login"):
            # The form of the fault, which is shown again after each attempt, as after a wrong password.
            action = f"{self.origin}/sso/login-actions/authenticate?session_code=demo&execution=demo&client_id=store"
            return sign_in_page(action)
        cookies = read_cookies(request.headers.get("Cookie", ""))
        return self._desk.reply(request.path, request.query, cookies, posted)
