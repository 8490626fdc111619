"""Put other tools and ours before the faults of the embedded store, and print what came of it in Markdown.

Each cell of the table is a run of a real program against a server on the loopback that misbehaves in one way; the file
under the final name is compared byte for byte. Peers that are not installed are named and left out: the programs come
with the system (aria2c, wget, curl), the packages with ``pip install parfive pypdl stac-asset`` into the environment
that runs this. The exit code is 1 when a cell of ours is not as good as can be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cells import ROWS, SIZE, Cell, Row, play
from programs import OURS, TOOLS, Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

_Choice = TypeVar("_Choice", Tool, Row)

_LEGEND = """\
**ok**: exit 0 and the right bytes. **ok, from zero**: likewise, but more than 1.3 sizes moved where less would do.
**fails**: it says so, and no wrong file has the final name. **fails, leaves a wrong file**: it says so, and one has.
**CORRUPT**: exit 0, and the bytes under the final name are wrong. **hangs**: killed after {time_limit:g} s.
† Nothing right can be had: **fails** is right. **-**: the row is about searching, which the tool does not do."""


def main() -> int:
    """Run the cells that were asked for; 0 when ours are all right."""
    # Started in the background, a process ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = _read_words()
    versions = asyncio.run(_versions(asked.tools))
    here = [tool for tool in asked.tools if versions[tool.name]]
    cells = asyncio.run(_play_all(here, asked.rows, asked.timeout, quiet=asked.markdown))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    sys.stdout.write("\n".join([*_table(here, asked.rows, cells), "", *_notes(asked, versions), ""]))
    return int(any(cell.tool == OURS and not cell.right for cell in cells))


def _read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tools", type=lambda names: _pick(names, TOOLS), default=list(TOOLS.values()), help="only these, with commas"
    )
    parser.add_argument(
        "--rows", type=lambda names: _pick(names, ROWS), default=list(ROWS.values()), help="only these, with commas"
    )
    parser.add_argument(
        "--timeout", type=float, default=40, metavar="SECONDS", help="when a run is said to hang (default: 40)"
    )
    parser.add_argument("--markdown", action="store_true", help="the table alone, without each cell as it comes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the cells with exit codes, bytes and seconds")
    return parser.parse_args()


def _pick(names: str, known: dict[str, _Choice]) -> list[_Choice]:
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}; found {', '.join(unknown)}")
    return [choice for name, choice in known.items() if name in wanted]


async def _versions(tools: Sequence[Tool]) -> dict[str, str | None]:
    return {tool.name: await tool.version() for tool in tools}


async def _play_all(tools: Sequence[Tool], rows: Sequence[Row], time_limit: float, *, quiet: bool) -> list[Cell]:
    """Play each row with each tool, two at once for each processor: nearly all of the time is waiting."""
    places = asyncio.Semaphore(2 * (os.cpu_count() or 1))

    async def one(row: Row, tool: Tool) -> Cell:
        async with places:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                cell = await play(tool, row, Path(folder), time_limit)
        if not quiet:
            sys.stderr.write(f"{row.name:18} {tool.name:14} {cell.verdict:28} {cell.seconds:6.1f} s\n")
        return cell

    return await asyncio.gather(*(one(row, tool) for row in rows for tool in tools))


def _table(tools: Sequence[Tool], rows: Sequence[Row], cells: Sequence[Cell]) -> list[str]:
    by_place = {(cell.row, cell.tool): cell for cell in cells}
    lines = [_line("fault", *(tool.name for tool in tools)), _line(*["---"] * (len(tools) + 1))]
    for row in rows:
        title = f"{row.title} (`{row.name}`)" + ("" if row.obtainable else " †")
        lines.append(_line(title, *(_shown(by_place[row.name, tool.name]) for tool in tools)))
    ends = [sum(cell.right for cell in cells if cell.tool == tool.name) for tool in tools]
    return [*lines, _line(f"as good as can be, of {len(rows)}", *map(str, ends))]


def _line(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _shown(cell: Cell) -> str:
    return f"**{cell.verdict}**" if cell.verdict == "CORRUPT" else cell.verdict


def _notes(asked: argparse.Namespace, versions: dict[str, str | None]) -> list[str]:
    """Say what the table means and where it comes from."""
    here = [f"* {tool.name} {versions[tool.name]}: {tool.how}" for tool in asked.tools if versions[tool.name]]
    missing = [f"* {tool.name}: not installed here" for tool in asked.tools if not versions[tool.name]]
    machine = f"{os.cpu_count()} vCPU, {platform.system()}, Python {platform.python_version()}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    place = f"Archive of {SIZE / 2**20:g} MiB on the loopback; {machine}; {today}."
    return [_LEGEND.format(time_limit=asked.timeout), "", *here, *missing, "", place]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
