"""`download --stac` that is killed: the next run makes good what is missing, and no half of a file is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.reporting.stac_items import checksum_of
from tests.conftest import level2_scenes
from tests.support.stac_schemas import schema_problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command

COUNT = 6


async def appeared(folder: Path, pattern: str, count: int) -> None:
    while found(folder, pattern) < count:  # noqa: ASYNC110  (what another process does)
        await asyncio.sleep(0.01)


def found(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def assert_complete(folder: Path) -> None:
    """Each archive has its item, each item its link, and nothing else is there."""
    archives = {path.stem: path for path in folder.glob("*.zip")}
    items = {path.name.removesuffix(".stac.json"): json.loads(path.read_bytes()) for path in folder.glob("*.stac.json")}
    assert COUNT == len(archives)
    assert archives.keys() == items.keys()
    for name, item in items.items():
        assert [] == schema_problems(item)
        assert hashlib.sha256(archives[name].read_bytes()).hexdigest() == checksum_of(item)
    catalog = json.loads((folder / "catalog.json").read_bytes())
    linked = [link["href"] for link in catalog["links"] if link["rel"] == "item"]
    assert sorted(f"./{name}.stac.json" for name in archives) == linked
    others = {path.name for path in folder.iterdir()} - {f"{name}.zip" for name in archives}
    assert {"catalog.json"} == others - {f"{name}.stac.json" for name in archives}


@pytest.mark.parametrize("pattern", ["*.zip", "*.stac.json"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_the_next_run_makes_good_what_is_missing(
    serve: Callable[..., Any], command: Command, pattern: str, count: int, how: signal.Signals
) -> None:
    site = await serve(level2_scenes(COUNT, size=2_000_000), rate=8_000_000)
    words = ("download", "--collection", "S2_MSIL2A", "--base-url", site.server.url, "-o", site.folder, "--stac", "-q")
    process = await command.start(*words)
    await appeared(site.folder, pattern, count)
    process.send_signal(how)
    ended = await command.end(process)
    assert "Traceback" not in ended.err

    ended = await command(*words)

    assert 0 == ended.code
    assert_complete(site.folder)
    before = {path: path.stat().st_mtime_ns for path in site.folder.iterdir()}
    assert 0 == (await command(*words)).code
    assert before == {path: path.stat().st_mtime_ns for path in site.folder.iterdir()}
