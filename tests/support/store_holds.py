"""Hold requests to an object store, so that a test can act meanwhile."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.conftest import HANGS
from tests.support.object_servers import StoreProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.object_servers import ObjectServer

__all__ = ["BEGUN", "COMPLETION", "LATER_PARTS", "Hold", "HoldingProxy"]

BEGUN: Final = r"POST .*\?uploads"
"""The request that begins an upload in parts."""

LATER_PARTS: Final = r"PUT .*[?&]partNumber=[2-9]\b"
"""All parts but the first: while one alone is held, those behind it go on."""

COMPLETION: Final = r"POST .*\?uploadId="
"""The request that completes an upload in parts: the object appears."""


@dataclass
class Hold:
    """Requests that are held, until they are released."""

    pattern: str
    after: bool
    count: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0

    async def wait(self) -> None:
        """Wait until as many requests as were asked for are held."""
        async with asyncio.timeout(HANGS):
            await self.reached.wait()

    def release(self) -> None:
        """Let them go on, and all that follow."""
        self.released.set()


class HoldingProxy(StoreProxy):
    """Stands before a store, and holds the requests that a test chooses."""

    def __init__(self, server: ObjectServer) -> None:
        super().__init__(server, self._before)
        self._holds: list[Hold] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Run it; gives its address."""
        async with super().running() as address:
            try:
                yield address
            finally:
                self.release_all()

    def hold(self, pattern: str, *, after: bool = False, count: int = 1) -> Hold:
        """Hold requests of this pattern: before the server has them, or after it has answered, but not the client."""
        self._holds.append(one := Hold(pattern, after, count))
        return one

    def release_all(self) -> None:
        for one in self._holds:
            one.release()

    async def _before(self, line: str) -> None:
        await self._wait(line, after=False)

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        response = await super()._passed_on(head, body)
        await self._wait(head.partition(b"\r\n")[0].decode(), after=True)
        return response

    async def _wait(self, line: str, *, after: bool) -> None:
        for one in list(self._holds):  # one that is added meanwhile is for later requests
            if one.after is after and re.match(one.pattern, line) and not one.released.is_set():
                one.held += 1
                if one.held >= one.count:
                    one.reached.set()
                await one.released.wait()
