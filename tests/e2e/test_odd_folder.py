"""A mirror in a folder whose name has blanks, quotes, a line feed and what a shell would run."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

NOTE = "import json, sys; open(sys.argv[1], 'a').write(json.dumps([sys.argv[2], json.load(sys.stdin)['path']]) + '\\n')"


async def test_each_command_works_in_an_odd_folder(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    older = level2_scenes(1)[0]
    newer = replace(older, identifier=older.identifier.replace("_N0301_", "_N0500_"))
    site = await serve([older])
    folder = run_cli.folder / "a 'b' \"c\"\n$(touch made) *; -rf %d {year}"
    noted = run_cli.folder / "noted"
    config = run_cli.folder / "config.json"
    settings = {
        "base_url": site.server.url,
        "output_directory": str(folder),
        "parameters": {"parentIdentifier": "S2_MSIL2A"},
        "selection": {"latest_baseline": True},
        "keep": {
            "layout": "{platform}/{year}",
            "superseded": "move",
            "on_archive": shlex.join([sys.executable, "-c", NOTE, str(noted)]),
            "stac": True,
        },
    }
    config.write_text(json.dumps(settings))
    first = await run_cli("sync", "--config", config)
    site.server.scenes.append(newer)
    second = await run_cli("sync", "--config", config)
    moved = await run_cli("ledger", "relocate", "--config", config, "--layout", "{tile} of {month}")
    pruned = await run_cli("prune", "--config", config)
    last = await run_cli("sync", "--config", config)

    assert [one.code for one in (first, second, moved, pruned, last)] == [0, 0, 0, 0, 0]
    calls = [json.loads(line) for line in noted.read_text().splitlines()]
    assert calls == [[str(folder / "S2A" / "2021" / f"{one.identifier}.zip")] * 2 for one in (older, newer)]
    assert not (run_cli.folder / "made").exists()
    (path,) = (path for path in folder.rglob("*.zip") if ".collgs" not in path.parts)
    assert path.stem == newer.identifier
    assert " of " in path.parent.name
    assert [one.stem for one in folder.glob(".collgs/old/superseded/*/*/*.zip")] == [older.identifier]
    assert "0 downloaded" in last.err or "Nothing" in last.err or "0 new" in last.err
