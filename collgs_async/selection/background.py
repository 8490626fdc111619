"""Run long work beside the event loop, so that signals are still handled."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_background"]

T = TypeVar("T")


async def in_background(work: Callable[[], T]) -> T:
    """Run work in a thread of its own; return its result or raise its exception.

    Neither a cancelled caller nor the end of the process waits for it, so it must have no side effects.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="collgs-area", daemon=True).start()
    return await asyncio.wrap_future(future)
