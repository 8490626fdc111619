"""``prune`` deletes on a disk without a free byte: room for what it has to write was kept by `sync`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import level2_scenes
from tests.support.clocks import until
from tests.support.commands import may_mount, ran

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command

FULL_DISK = """
mount -t tmpfs -o size=16m tmpfs "$OUT" || exit 77
"$@" sync 2> first.err; echo $? > first.code
while [ ! -e go ]; do sleep 0.05; done
"$@" sync 2> second.err; echo $? > second.code
cat /dev/zero > "$OUT/fill" 2> /dev/null
df --output=avail "$OUT" | tail -1 > free
"$@" prune 2> prune.err > prune.out; echo $? > prune.code
ls "$OUT" > here
"""
"""Runs a command in a folder that is a disk of its own, which is filled to the last byte before the end."""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
async def test_a_full_disk_is_no_reason_not_to_delete(serve: Callable[..., Any], command: Command) -> None:
    older = level2_scenes(1, size=3_000_000)[0]
    newer = replace(older, identifier=older.identifier.replace("_N0301_", "_N0500_"))
    site = await serve([older])
    site.folder.mkdir()
    config = command.folder / "config.json"
    settings = {
        "base_url": site.server.url,
        "output_directory": str(site.folder),
        "parameters": {"parentIdentifier": "S2_MSIL2A"},
        "selection": {"latest_baseline": True},
        "keep": {"superseded": "delete"},
    }
    config.write_text(json.dumps(settings))
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", FULL_DISK, "sh", sys.executable, "-m", "collgs_async", "--config", str(config)),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    await until((command.folder / "first.code").exists)
    site.server.scenes.append(newer)
    (command.folder / "go").touch()
    await shell.wait()

    codes = [ran(command.folder, name).code for name in ("first", "second", "prune")]
    assert codes == [0, 0, 0], (command.folder / "prune.err").read_text()
    assert int((command.folder / "free").read_text()) == 0
    here = (command.folder / "here").read_text().split()
    assert f"{newer.identifier}.zip" in here
    assert f"{older.identifier}.zip" not in here
