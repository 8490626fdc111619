"""The tools that fetch members of an archive, ours among them: how each is called, and which version is here."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from far import COLLECTION
from processes import BenchError, Command, output_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.golden import GoldenMember

__all__ = ["Order", "Tool", "tools_for"]

_CONNECTIONS = 4
_BANDS, _RESOLUTIONS, _MEMBERS = "B02,B03,B04,B08,SCL", "10,20", "manifest.safe,INSPIRE.xml"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched: the archive's address, the catalogue's, an empty folder, and one for lists."""

    url: str
    search_url: str
    output: Path
    scratch: Path
    wanted: tuple[GoldenMember, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, in one way of calling it.

    Attributes
    ----------
    name, how
        The head of its row, and how it is called, for people.
    command
        What to run for an order.
    version
        What is installed; None: it is not.
    install
        How to install it.
    whole
        Whether it fetches the whole archive.
    folder
        Where its members are, below the output; may name the product as ``{identifier}``.
    """

    name: str
    how: str
    command: Callable[[Order], Command]
    version: str | None
    install: str
    whole: bool = False
    folder: str = ""


def tools_for(words: str) -> list[Tool]:
    """Give the tools, ours last; `words` call it."""
    program = tuple(shlex.split(words))
    flags = ("--bands", _BANDS, "--resolution", _RESOLUTIONS, "--members", _MEMBERS)

    def ours(*flags: str) -> Callable[[Order], Command]:
        return lambda order: Command((*program, "--config", str(_configured(order)), *flags))

    def reader(name: str) -> Callable[[Order], Command]:
        script = str(Path(__file__).with_name("readers.py"))
        return lambda order: Command(
            (sys.executable, "-P", script, name, order.url, str(order.output), str(_listed(order)))
        )

    def curl(order: Order) -> Command:
        return Command(("curl", "-sSf", "-o", str(order.output / "archive.zip"), order.url))

    def tool(name: str, how: str, command: Callable[[Order], Command], package: str, install: str) -> Tool:
        return Tool(name, how, command, _of(package), f"pip install {install}")

    ours_is = _ours_version(program)
    shown = f"`{words} --config FILE {shlex.join(flags)}`"
    return [
        Tool("curl", "the whole: `curl -sSf -o FILE URL`", curl, _of_system("curl"), "apt install curl", whole=True),
        tool("remotezip", "`RemoteZip(url).extract(...)`", reader("remotezip"), "remotezip", "remotezip"),
        tool("fsspec", "`ZipFile(fsspec.open(url))`", reader("fsspec"), "fsspec", "'fsspec[http]'"),
        tool("gdal", "`/vsizip//vsicurl/`, members as raw images", reader("gdal"), "rasterio", "rasterio"),
        Tool("ours-whole", f"the whole: `{words} --config FILE`", ours(), ours_is, "pip install .", whole=True),
        Tool("ours", shown, ours(*flags), ours_is, "pip install .", folder="{identifier}.parts"),
    ]


def _of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _of_system(program: str) -> str | None:
    return output_of(program, "--version").split()[1] if shutil.which(program) else None


def _ours_version(program: Sequence[str]) -> str | None:
    try:
        return output_of(*program, "--version").split()[-1]
    except BenchError:
        return None


def _configured(order: Order) -> Path:
    """Write what a user would: where to search, where to put it, how many connections."""
    path = order.scratch / "config.json"
    options = {"workers": _CONNECTIONS, "segments": _CONNECTIONS, "verify": "crc"}
    settings = {
        "base_url": order.search_url,
        "parameters": {"parentIdentifier": COLLECTION},
        "output_directory": str(order.output),
        "download_options": options,
    }
    path.write_text(json.dumps(settings))
    return path


def _listed(order: Order) -> Path:
    path = order.scratch / "members.txt"
    path.write_text("".join(f"{member.name}\t{member.size}\n" for member in order.wanted))
    return path
