"""The tools that are put before the faults, ours among them: how each is called, and which version is here."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata

__all__ = ["OURS", "TOOLS", "Tool"]

OURS = "collgs-async"

_PARFIVE = """
import sys
from parfive import Downloader
downloader = Downloader(max_splits={splits})
downloader.enqueue_file(sys.argv[1], path=".", filename=sys.argv[2])
sys.exit(bool(downloader.download().errors))
"""
_PYPDL = """
import sys
from pypdl import Pypdl
sys.exit(not Pypdl().start(url=sys.argv[1], file_path=sys.argv[2], retries=5))
"""
_STAC_ASSET = """
import asyncio, datetime, sys
import pystac, stac_asset
item = pystac.Item("item", None, None, datetime.datetime(2021, 1, 1), {})
item.add_asset("archive", pystac.Asset(sys.argv[1], media_type="application/zip"))
asyncio.run(stac_asset.download_item(item, "."))
"""
_VERSION = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program or a Python package that fetches one file.

    Attributes
    ----------
    name
        The head of its column.
    how
        How it is called, for people.
    words
        The command; the words ``URL`` and ``NAME`` stand for the archive's address and final name.
    package
        The Python package that must be there; None: it is a program, the first of `words`.
    searches
        Whether it asks the catalogue itself what there is.
    """

    name: str
    how: str
    words: tuple[str, ...]
    package: str | None = None
    searches: bool = False

    def command(self, url: str, name: str) -> list[str]:
        """Say what to run to fetch the archive at `url` into the working folder, as `name`."""
        return [{"URL": url, "NAME": name}.get(word, word) for word in self.words]

    async def version(self) -> str | None:
        """Tell which version is installed; None: it is not."""
        if self.package is not None:
            return _package_version(self.package)
        if shutil.which(self.words[0]) is None:
            return None
        process = await asyncio.create_subprocess_exec(self.words[0], "--version", stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        found = _VERSION.search(told.decode(errors="replace"))
        return found[0] if found else "of unknown version"


def _package_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _in_python(name: str, how: str, package: str, script: str) -> Tool:
    return Tool(name, how, (sys.executable, "-c", script, "URL", "NAME"), package)


def _parfive(splits: int) -> Tool:
    how = f"`Downloader(max_splits={splits})`, `enqueue_file`, `download`"
    return _in_python(f"parfive ({splits})", how, "parfive", _PARFIVE.format(splits=splits))


def _program(name: str, words: str) -> Tool:
    return Tool(name, f"`{words}`", tuple(words.split()))


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        _parfive(5),
        _parfive(1),
        _in_python("pypdl", "`Pypdl().start(url=..., file_path=..., retries=5)`", "pypdl", _PYPDL),
        _in_python("stac-asset", "`download_item`, the asset's media type given", "stac-asset", _STAC_ASSET),
        # aria2c splits nothing below 40 MB unless -k says so.
        _program("aria2c (4)", "aria2c -c -x4 -s4 -k1M -o NAME URL"),
        _program("aria2c (1)", "aria2c -c -x1 -o NAME URL"),
        _program("wget", "wget -c -O NAME URL"),
        _program("curl", "curl -L -C - --retry 5 --retry-all-errors -o NAME URL"),
        Tool(
            OURS,
            "`collgs-async --config config.json`, `connection.timeout` 3",
            (sys.executable, "-m", "collgs_async", "--config", "config.json"),
            OURS,
            searches=True,
        ),
    )
}
"""Every tool by name, in the order of the columns."""
