"""The least that a client of aiohttp can do: fetch each address of a list, eight at once.

``python bare.py LIST FOLDER``: no catalogue, no check, no resume, no fsync, no final names. What ours takes beside it
goes to those.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp


async def _fetch(urls: list[str], folder: Path) -> None:
    async with aiohttp.ClientSession() as session:

        async def work() -> None:
            while urls:
                url = urls.pop()
                async with session.get(url) as response:
                    (folder / url.rpartition("/")[2]).write_bytes(await response.read())

        await asyncio.gather(*(work() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(_fetch(Path(sys.argv[1]).read_text().split(), Path(sys.argv[2])))
