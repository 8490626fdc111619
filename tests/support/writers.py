"""Archives by the writers that users have: Info-ZIP, 7-Zip, Java and Python."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


NOISE = random.Random(7).randbytes(300_000)


TEXT = b"<row>Vegetation 0.42 Water 0.07</row>\n" * 9_000


CONTENT = {
    "S2A.SAFE/": b"",
    "S2A.SAFE/manifest.safe": TEXT,
    "S2A.SAFE/GRANULE/B02.jp2": NOISE,
    "S2A.SAFE/empty.txt": b"",
    "S2A.SAFE/Grüße 你好.txt": b"short",
}


JAVA_WRITER = """
import java.io.*;
import java.nio.file.*;
import java.util.zip.*;

class Writer {
    public static void main(String[] names) throws IOException {
        try (var zip = new ZipOutputStream(new FileOutputStream(names[0]))) {
            for (int i = 1; i < names.length; i++) {
                zip.putNextEntry(new ZipEntry(names[i]));
                if (!names[i].endsWith("/")) zip.write(Files.readAllBytes(Path.of(names[i])));
                zip.closeEntry();
            }
        }
    }
}
"""


class Pipe(io.RawIOBase):
    """A file that can only be written forwards."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self.file.write(data)  # type: ignore[arg-type] # RawIOBase and BufferedWriter spell it apart

    def close(self) -> None:
        self.file.close()
        super().close()


def program(name: str) -> str:
    found = shutil.which(name)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{name} must be installed where CI is set")
    pytest.skip(f"{name} is not installed")


def run(*command: str, cwd: Path) -> bytes:
    done = subprocess.run((program(command[0]), *command[1:]), cwd=cwd, capture_output=True, timeout=HANGS)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def archive(
    content: dict[str, bytes] | None = None, method: int = DEFLATED, *, comment: bytes = b"", zip64: bool = False
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as zipped:
        zipped.comment = comment
        for name, data in (CONTENT if content is None else content).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = STORED if name.endswith("/") else method
            with zipped.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
    return target.getvalue()


def write_python_streamed(path: Path) -> None:
    with Pipe(path) as pipe, zipfile.ZipFile(pipe, "w", DEFLATED) as zipped:
        for name, data in CONTENT.items():
            zipped.writestr(name, data)


def unpack_content(folder: Path) -> None:
    for name, data in CONTENT.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            target.write_bytes(data)


def write_java(path: Path) -> None:
    (path.parent / "Writer.java").write_text(JAVA_WRITER)
    names = [name for name in CONTENT if name.isascii()]
    run("java", "Writer.java", path.name, *names, cwd=path.parent)


def shell(*command: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        run(*command, cwd=path.parent)

    return write


def shell_to_stdout(*command: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(run(*command, cwd=path.parent))

    return write


WRITERS = {
    "python stored": lambda path: path.write_bytes(archive(method=STORED)),
    "python deflated": lambda path: path.write_bytes(archive()),
    "python commented": lambda path: path.write_bytes(archive(comment=b"c" * 60_000)),
    "python ZIP64": lambda path: path.write_bytes(archive(zip64=True)),
    "python streamed": write_python_streamed,
    "zip": shell("zip", "-qr", "a.zip", "S2A.SAFE"),
    "zip stored": shell("zip", "-q0r", "a.zip", "S2A.SAFE"),
    "zip ZIP64": shell("zip", "-qr", "-fz", "a.zip", "S2A.SAFE"),
    "zip to stdout": shell_to_stdout("zip", "-qr", "-", "S2A.SAFE"),
    "7z": shell("7z", "a", "-tzip", "a.zip", "S2A.SAFE"),
    "7z stored": shell("7z", "a", "-tzip", "-mx0", "a.zip", "S2A.SAFE"),
    "java": write_java,
    "jar": shell("jar", "cf", "a.zip", "S2A.SAFE/manifest.safe", "S2A.SAFE/GRANULE", "S2A.SAFE/empty.txt"),
}


def patched(data: bytes, at: int, layout: str, *values: object) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def entry_of(data: bytes, nth: int = 0) -> int:
    at = -1
    for _ in range(nth + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def deflated(stream: bytes, *, length: int, crc: int) -> bytes:
    """Make an archive whose only member holds this deflate stream."""
    data = archive({"a": stream}, STORED)
    entry = entry_of(data)
    for at in (8, entry + 10):
        data = patched(data, at, "<H", DEFLATED)
    for at in (14, entry + 16):
        data = patched(data, at, "<3I", crc, len(stream), length)
    return data
