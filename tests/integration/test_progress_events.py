"""What a run tells of each product while it goes on: to the display, and to the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, SilentProgress
from collgs_async.models.text import format_bytes
from tests.conftest import HANGS, fault, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.models.product import Outcome, Product


class Recorded(SilentProgress):
    """Remembers in which states each product was."""

    def __init__(self) -> None:
        self.states: dict[str, list[tuple[Any, ...]]] = {}

    def _add(self, product: Product, *state: Any) -> None:
        self.states.setdefault(product.identifier, []).append(state)

    def started(self, product: Product, **_: int | None) -> None:
        self._add(product, "started")

    def checking(self, product: Product) -> None:
        self._add(product, "checking")

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:
        if why is not None:
            self._add(product, "delayed", why, seconds is not None)


@pytest.mark.parametrize(
    ("trouble", "why", "states"),
    [
        ("503", "HTTP 503: The store is busy.", ["delayed", "started", "checking"]),
        ("staged", "on tape", ["delayed", "started", "checking"]),
        ("cut", "the connection broke in the middle", ["started", "delayed", "started", "checking"]),
    ],
)
async def test_a_product_says_why_it_waits(
    serve: Callable[..., Any], trouble: str, why: str, states: list[str]
) -> None:
    (scene,) = level2_scenes(1)
    site = await serve([scene], faults={scene.identifier: fault(trouble)})
    progress = Recorded()

    async with Client(site.config(), progress, sleep=site.sleeps) as client:
        assert 1 == (await client.download_all()).downloaded

    told = [state for state, _ in groupby(progress.states[scene.identifier])]  # one may wait several times
    assert states == [state[0] for state in told]
    assert ("delayed", why, True) in told


async def test_while_a_store_is_away_its_products_say_so(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes, faults={scene.identifier: (fault("503"),) * 5 for scene in scenes})
    progress = Recorded()

    async with Client(site.config(retries=1), progress, sleep=site.sleeps) as client:
        assert 4 == (await client.download_all()).downloaded

    told = {why for states in progress.states.values() for kind, *rest in states if kind == "delayed" for why in rest}
    assert "the store is unavailable" in told


async def test_a_run_that_is_stopped_counts_all_bytes_that_moved(serve: Callable[..., Any], tmp_path: Path) -> None:
    scenes = level2_scenes(6, size=2_000_000)
    site = await serve(scenes, rate=2_000_000.0)
    some_done, some_here = asyncio.Event(), asyncio.Event()

    class Stopping(SilentProgress):
        def finished(self, _: Outcome) -> None:
            some_done.set()

        def advanced(self, _: Product, __: int) -> None:
            if some_done.is_set():
                some_here.set()

    async with Client(site.config(workers=2), Stopping(), sleep=site.sleeps) as client:
        run = asyncio.create_task(client.download_all(report=tmp_path / "report.json"))
        await asyncio.wait_for(some_here.wait(), HANGS)
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run

    summary = json.loads((tmp_path / "report.json").read_bytes())["summary"]
    done = sum(path.stat().st_size for path in site.folder.glob("*.zip"))
    assert 0 < summary["unfinished_bytes"] == sum(site.held().values())
    assert done + summary["unfinished_bytes"] == summary["bytes"] == client.report.bytes
    assert client.report.unfinished_bytes == summary["unfinished_bytes"]


async def test_each_product_that_is_done_is_logged_with_its_entry_of_the_report(
    serve: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[2].identifier: fault("missing")})
    caplog.set_level(logging.DEBUG, logger="collgs_async")

    await site.pull()
    async with site.client() as client:
        await client.download_all(report=tmp_path / "report.json")

    size = format_bytes(site.archive(scenes[0]).stat().st_size)
    events = [(event, record.getMessage()) for record in caplog.records if (event := getattr(record, "event", None))]
    messages = [message.partition(": ")[::2] for _, message in events]
    first, second = dict(messages[:3]), dict(messages[3:])
    assert re.match(rf"downloaded, {re.escape(size)} in \d\d:\d\d", first[scenes[0].identifier])
    assert first[scenes[2].identifier] == second[scenes[2].identifier] == "HTTP 404: Not Found; it is left out"
    assert "already here" == second[scenes[0].identifier]
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert [{"event": "product", **entry} for entry in report["products"]] == [event for event, _ in events[3:]]
