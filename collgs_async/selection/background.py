"""Long work beside the event loop, which goes on hearing signals meanwhile."""

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
    """Do work in a thread of its own, and give what it returns or raise what it raises.

    A cancelled caller does not wait for it, and neither does the end of the process: it must change nothing outside.
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
