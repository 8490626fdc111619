"""The embedded catalogue in a process of its own, for archives that another server hands out.

``speed.py`` starts it: ``python catalogue.py SET HOST FOLDER``. It says where to search, and serves until it is
stopped.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from goods import SETS

from collgs_async.demo.server import DemoServer

__all__ = ["READY"]

READY = "search at "
"""How the line begins that says where to search."""


async def _serve(goods: str, host: str, folder: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with DemoServer(SETS[goods].scenes(), folder, host=host) as server:
        sys.stdout.write(f"{READY}{server.url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
