"""Hand a file to an upload block by block, and let one that is cancelled tell the store so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

__all__ = ["AbandonedError", "abandonable", "read_blocks"]


class AbandonedError(CollgsError):
    """The upload was cancelled; raised where obstore reads the file, so that it aborts the upload."""


async def read_blocks(
    path: Path, size: int, block: int, stopped: asyncio.Event, on_sent: Callable[[int], None] | None
) -> AsyncIterator[bytes]:
    """Yield the blocks of a file of this size; obstore takes one when an earlier one has been sent.

    Raises
    ------
    UnreadableError
        The file cannot be read, or is not as long any more; obstore aborts the upload.
    AbandonedError
        The upload was cancelled.
    """
    taken = 0
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            while data := await asyncio.to_thread(file.read, block):
                if stopped.is_set():
                    raise AbandonedError
                if on_sent is not None:
                    on_sent(taken)
                taken += len(data)
                yield data
        if taken != size:
            raise UnreadableError(f"{path}: expected {size} bytes, which were verified, found {taken}")
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None


async def abandonable(upload: Awaitable[object], stopped: asyncio.Event, farewell: float) -> None:
    """Await an upload; when this is cancelled, let it tell the store first, so that none of its parts stay there."""
    task = asyncio.ensure_future(upload)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait([task], timeout=farewell)
        raise
    finally:
        if not task.cancel() and not task.cancelled():
            task.exception()  # retrieved, so that it is not logged
    await task
