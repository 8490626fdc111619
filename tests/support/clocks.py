"""Clocks and sleeps that tests hand in, and waiting for what has no event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable


class Haste:
    """The clock of the event loop, so many times as fast, and the sleep that goes with it."""

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def clock(self) -> float:
        return asyncio.get_running_loop().time() * self._pace

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)


NIGHT = 8 * 3600.0


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that has no event."""
    async with asyncio.timeout(HANGS):
        while not happened():  # noqa: ASYNC110 - neither the server nor the job keeps one for it
            await asyncio.sleep(0.01)
