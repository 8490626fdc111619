"""Run the real command and hold what every run must hold; folders of archives and their parts."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import HANGS, Ended, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable


COLLECTION = ("--collection", "S2_MSIL2A")


def assert_clean_exit(ended: Ended) -> Ended:
    """Assert what holds for every run: no traceback is ever shown."""
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err
    assert "never awaited" not in ended.err
    return ended


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def at_url(site: Any) -> tuple[object, ...]:
    """The words that lead to this site and its folder."""
    return ("--base-url", site.server.url, *COLLECTION, "--output", site.folder)


MIB = 2**20


on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells what a process does")


def stored_scenes(count: int, size: int) -> list[Any]:
    """Scenes whose archives are quickly made."""
    return [replace(scene, size=size, deflated=False) for scene in level2_scenes(count)]


def originals(site: Any) -> dict[str, bytes]:
    return {site.archive(scene).name: site.original(scene) for scene in site.server.scenes}


def wrong_finals(folder: Path, right: dict[str, bytes]) -> list[str]:
    return [path.name for path in folder.glob("*.zip") if path.read_bytes() != right[path.name]]


async def until(happened: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
    """Wait for something that a running process is about to bring about."""
    async with asyncio.timeout(HANGS):
        while not happened():
            assert process.returncode is None, "it ended before"
            await asyncio.sleep(0.002)


def write_huge_archive(path: Path, members: int = 10) -> None:
    """Write a small file that holds members of nearly 4 GiB: half a minute of work at the least for who checks it.

    So much because a test that is to interrupt this work may itself have to wait for the processor.
    """
    block, count = 16 * MIB, 255
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (press.compress(bytes(block)) + press.flush(zlib.Z_FULL_FLUSH)) * count + b"\x03\x00"
    directory = b""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for number in range(members):
            name = f"zeros{number}".encode()
            head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), block * count, len(name), 0)
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + head
            directory += struct.pack("<HHHII", 0, 0, 0, 0, file.tell()) + name
            file.write(b"PK\x03\x04" + head + name + data)
        begin = file.tell()
        file.write(directory)
        file.write(struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, members, members, len(directory), begin, 0))


def may_mount() -> bool:
    unshare = shutil.which("unshare")
    trial = ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return unshare is not None and not subprocess.run([unshare, *trial], capture_output=True).returncode


def ran(folder: Path, name: str) -> Ended:
    code = int((folder / f"{name}.code").read_text())
    return assert_clean_exit(Ended(code, "", (folder / f"{name}.err").read_text()))


def assert_stopped_by(ended: Ended, trouble: str) -> None:
    """The trouble is told once, not once for each product or each try."""
    assert 1 == ended.code
    assert 1 == ended.err.count(trouble), ended.err
    assert 1 == sum(line.startswith("error: ") for line in ended.err.splitlines())
    assert "The search ended early" not in ended.err
