"""Ours and the peers: how each is called to fetch a list of archives, and which version is here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from goods import COLLECTION
from processes import BenchError, Command, output_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OURS", "PEERS", "Contender", "Order", "before", "ours"]

_SCRIPT = Path(sysconfig.get_path("scripts"), "collgs-async")
OURS = shlex.quote(str(_SCRIPT)) if _SCRIPT.exists() else f"{shlex.quote(sys.executable)} -P -m collgs_async"
"""How ours is called: the command that is installed, and not what happens to lie in the working folder."""

_BARE, _RECORDS = (Path(__file__).with_name(name) for name in ("bare.py", "records.py"))
_VERSION = re.compile(r"\d+(\.\d+)+")
_MANY = 100
_FILES_A_WGET = 50


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, and where to.

    Attributes
    ----------
    names
        Of the archives, in the catalogue's order.
    base_url
        What a name is put behind to have its address.
    search_url
        The catalogue.
    output
        An empty folder.
    scratch
        A folder for lists and configurations.
    connections
        How many at once.
    ca_file
        The certificate to trust; None: there is no TLS.
    """

    names: tuple[str, ...]
    base_url: str
    search_url: str
    output: Path
    scratch: Path
    connections: int
    ca_file: Path | None

    def urls(self) -> list[str]:
        """Give the address of each archive."""
        return [self.base_url + name for name in self.names]

    def write(self, name: str, text: str) -> Path:
        """Write a file beside the output."""
        path = self.scratch / name
        path.write_text(text)
        return path


@dataclass(frozen=True, slots=True)
class Contender:
    """A program, in one way of calling it.

    Attributes
    ----------
    name
        The head of its row.
    how
        How it is called, for people.
    command
        What to run for an order; it may write files into the order's scratch folder.
    version_words
        What to run to learn its version.
    """

    name: str
    how: str
    command: Callable[[Order], Command]
    version_words: tuple[str, ...]

    def version(self) -> str | None:
        """Tell which version is installed; None: it is not."""
        if shutil.which(self.version_words[0]) is None:
            return None
        try:
            said = output_of(*self.version_words)
        except BenchError:
            return None
        found = _VERSION.search(said)
        return found[0] if found else "of unknown version"


def ours(words: str) -> dict[str, Contender]:
    """Give our own, by name, in the ways in which they take part; `words` call the program."""
    program = tuple(shlex.split(words))
    shown = "collgs-async --config FILE" if words == OURS else f"{words} --config FILE"

    def verifying(how: str) -> Callable[[Order], Command]:
        return lambda order: Command((*program, "--config", str(order.write("config.json", _config(order, how)))))

    version_words = (*program, "--version")
    return {
        "ours": Contender("ours", f"`{shown}`, `verify` `size`", verifying("size"), version_words),
        "ours-crc": Contender("ours-crc", f"`{shown}`, `verify` `crc`", verifying("crc"), version_words),
        "ours-help": Contender("ours-help", "`--help`", lambda _: Command((*program, "--help")), version_words),
    }


def before(words: str) -> dict[str, Contender]:
    """Give an earlier build of ours, by name; `words` call the program."""
    return {
        f"before{name.removeprefix('ours')}": replace(one, name=f"before{name.removeprefix('ours')}")
        for name, one in ours(words).items()
    }


def _config(order: Order, verify: str) -> str:
    """Write what a user would: where to search, where to put it, how many at once."""
    connection = {"download_base_url": order.base_url, "ca_file": order.ca_file and str(order.ca_file)}
    return json.dumps(
        {
            "base_url": order.search_url,
            "parameters": {"parentIdentifier": COLLECTION},
            "output_directory": str(order.output),
            "connection": {key: value for key, value in connection.items() if value is not None},
            "download_options": {"workers": order.connections, "segments": 8, "verify": verify},
        }
    )


def _curl(order: Order) -> Command:
    files = zip(order.urls(), order.names, strict=True)
    text = "".join(f'url = "{url}"\noutput = "{name.rpartition("/")[2]}"\n' for url, name in files)
    words = f"curl -Z --parallel-max {order.connections} --parallel-immediate -sSf"
    trust = () if order.ca_file is None else ("--cacert", str(order.ca_file))
    listed = order.write("curl.txt", text)
    return Command((*words.split(), *trust, "--output-dir", str(order.output), "-K", str(listed)))


def _wget(order: Order) -> Command:
    count = _FILES_A_WGET if len(order.names) > _MANY else 1
    words = f"xargs -P {order.connections} -n {count} wget -q -P"
    trust = () if order.ca_file is None else (f"--ca-certificate={order.ca_file}",)
    return Command((*words.split(), str(order.output), *trust), stdin=_listed(order))


def _aria2(pieces: int) -> Callable[[Order], Command]:
    """Fetch eight files at once, each in so many pieces."""

    def command(order: Order) -> Command:
        words = f"aria2c -q --no-conf --file-allocation=none -j8 -x{pieces} -s{pieces} -k1M"
        trust = () if order.ca_file is None else (f"--ca-certificate={order.ca_file}",)
        return Command((*words.split(), *trust, "-d", str(order.output), "-i", str(_listed(order))))

    return command


def _listed(order: Order) -> Path:
    return order.write("urls.txt", "\n".join(order.urls()) + "\n")


_PEERS = (
    Contender("curl", "`curl -Z --parallel-max 8 --parallel-immediate -sSf -K LIST`", _curl, ("curl", "--version")),
    Contender("wget", "`xargs -P 8 -n 1 wget -q < LIST`; `-n 50` for small files", _wget, ("wget", "--version")),
    Contender(
        "aria2-x1",
        "`aria2c -q --no-conf --file-allocation=none -j8 -x1 -s1 -k1M -i LIST`",
        _aria2(1),
        ("aria2c", "--version"),
    ),
    Contender("aria2-x8", "likewise with `-x8 -s8`: up to 64 connections", _aria2(8), ("aria2c", "--version")),
    Contender(
        "python-tls",
        "`python records.py LIST FOLDER CERTIFICATE`, which only decrypts and writes",
        lambda order: Command(
            (sys.executable, "-P", str(_RECORDS), str(_listed(order)), str(order.output), str(order.ca_file))
        ),
        (sys.executable, "-V"),
    ),
    Contender(
        "aiohttp",
        "`python bare.py LIST FOLDER`, which only fetches and writes",
        lambda order: Command((sys.executable, "-P", str(_BARE), str(_listed(order)), str(order.output))),
        (sys.executable, "-c", "import aiohttp; print(aiohttp.__version__)"),
    ),
    Contender(
        "libraries",
        "`python -c 'import aiohttp, aiofiles.os'`, which each run of ours needs",
        lambda _: Command((sys.executable, "-c", "import aiohttp, aiofiles.os")),
        (sys.executable, "-c", "import aiohttp; print(aiohttp.__version__)"),
    ),
    Contender("python", "`python -c pass`", lambda _: Command((sys.executable, "-c", "pass")), (sys.executable, "-V")),
)

PEERS: dict[str, Contender] = {peer.name: peer for peer in _PEERS}
"""Every peer by name, in the order of the rows."""
