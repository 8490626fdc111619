"""The embedded catalogue in a thread, for callers without an event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collgs_async import Config, Connection
from collgs_async.demo.server import DemoServer
from tests.conftest import HANGS
from tests.support.loops import SteadyLoop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from collgs_async.demo.scenes import Scene


@contextmanager
def served(scenes: Sequence[Scene], folder: Path, **options: Any) -> Iterator[DemoServer]:
    """Serve from a thread, for callers that have no loop or block the one that they have."""
    server = DemoServer(scenes, folder, **options)
    loop = SteadyLoop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(HANGS)
        yield server
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(HANGS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def settings(server: DemoServer, folder: Path, **parameters: object) -> Config:
    return Config(
        base_url=server.url,
        parameters={"parentIdentifier": "S2_MSIL2A", **parameters},
        output_directory=folder / "archives",
        connection=Connection(timeout=60, retries=1),
    )
