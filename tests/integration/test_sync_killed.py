"""A run that is killed at any page or write of the ledger: the next one ends equal, and fetches nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from collgs_async import Client, Config
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.server import DemoServer
from collgs_async.ledger.ledger import Ledger
from collgs_async.mirror import listing
from collgs_async.mirror.sync import Sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from collgs_async.demo.scenes import Scene

NOW = datetime(2023, 7, 1, tzinfo=UTC)
STRIDE = 3
"""Steps from one kill to the next, prime to the two of each transaction; with 1, too, it was seen to hold."""


def scenes() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2021, 10, 31), size=1000)
    return [scene for scene in found if scene.collection == "S2_MSIL2A"][:14]


def killing(left: int) -> Callable[..., Any]:
    """Return what runs a transaction of a ledger, and kills the process within or after one of them."""
    run = Ledger._transact

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def transact(ledger: Ledger, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        def within(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            step()
            return result

        result = run(ledger, within, *given, **named)
        step()
        return result

    return transact


async def sync(config: Config, now: datetime) -> int:
    async with Client(config) as client:
        return (await Sync(client, clock=lambda: now).run()).code


async def is_killed_at(step: int, config: Config, now: datetime) -> bool:
    """Run a sync in a child that is killed at a step; return whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of this process
        child = os.fork()
    if child == 0:
        code = 99
        try:
            Ledger._transact = killing(step)  # type: ignore[method-assign]  # of the child only
            code = asyncio.run(sync(config, now))
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def archives(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.zip")}


async def test_a_killed_sync_ends_equal_and_fetches_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH", 5)
    folder, whole = tmp_path / "out", scenes()
    async with DemoServer(whole, tmp_path / "store", page_maximum=5) as server:
        config = Config.create(
            base_url=f"{server.origin}/catalog/oseo/search",
            collection="S2_MSIL2A",
            output_directory=folder,
            page_size=5,
        )
        here: set[str] = set()
        kills = 0
        while await is_killed_at(kills * STRIDE, config, NOW + timedelta(minutes=kills)):
            kills += 1
            fetched = {record.path.rpartition("/")[2].removesuffix(".zip") for record in server.requests}
            assert not fetched & here, "an archive that was here came again"
            server.forget()
            here = archives(folder)
        assert archives(folder) == {scene.identifier for scene in whole}
        assert kills > 8
        server.forget()
        assert await sync(config, NOW + timedelta(days=1)) == 0
        assert all(not record.path.endswith(".zip") for record in server.requests)
