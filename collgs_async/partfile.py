"""The part: an archive on its way, and the sidecar that says which archive it is.

Bytes go to ``<name>.zip.part``; while one connection appends, the part's own length is the record of what is here.
Beside it ``<name>.zip.part.json`` holds what the server said the archive is (URL, length, validators), so that a later
run can ask for the rest of that same version. A final name is given by rename only, and only by `PartFile.publish`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import aiofiles.os

from collgs_async.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["PartFile", "Remote", "file_name"]

T = TypeVar("T")

SMALL: Final = 4 * 2**20
"""Bytes; a shorter archive gets no sidecar, for losing it costs less than the sidecars of a hundred thousand do."""

_PART, _SIDECAR = ".part", ".part.json"
_LONGEST_NAME = 255 - len(".zip" + _SIDECAR)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server said that the archive is.

    Attributes
    ----------
    url
        The URL that was asked.
    size
        Length of the whole archive in bytes; None when the server did not say.
    etag
        The entity tag with its quotes, weak ones with ``W/`` (RFC 9110 §8.8.3); None when there was none.
    last_modified, date
        These two header fields as they came; None when there were none.
    """

    url: str
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None

    @classmethod
    def parse(cls, text: str) -> Remote | None:
        """Read a sidecar; None when it is damaged, as after a crash, or of another make."""
        try:
            fields = json.loads(text)
            remote = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            return None
        strings = (remote.url, remote.etag or "", remote.last_modified or "", remote.date or "")
        sizes = remote.size is None or (type(remote.size) is int and remote.size >= 0)
        return remote if sizes and all(isinstance(value, str) for value in strings) else None


def file_name(identifier: str) -> str:
    """Make the archive's file name of a product's identifier, which is not ours and may be anything.

    A name that had to be changed or shortened carries a digest of the identifier, so that two never share a file.
    """
    safe = _UNSAFE.sub("_", identifier)[:_LONGEST_NAME]
    if safe.startswith((".", "-")) or _RESERVED.match(safe) or not safe:
        safe = f"_{safe}"
    if safe != identifier:
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: _LONGEST_NAME - 9]}-{digest}"
    return f"{safe}.zip"


class PartFile:
    """An unfinished archive on disk, open for reading and writing; use it as an asynchronous context manager.

    Every operation on the disk runs in a thread and is awaited to its end even when the task is cancelled: left
    alone, it would write into whatever file gets the same descriptor next.

    Parameters
    ----------
    final
        Where the verified archive will be.

    Attributes
    ----------
    path, sidecar
        The part and its sidecar, in the same folder.
    length
        Bytes that are here, from the first on, without gaps.
    remote
        Which archive they are of; None when nobody remembers.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(final.name + _PART)
        self.sidecar = final.with_name(final.name + _SIDECAR)
        self.length = 0
        self.remote: Remote | None = None
        self._descriptor: int | None = None

    async def __aenter__(self) -> Self:
        await self._settled(_in_thread(self._open))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            await self._settled(_in_thread(os.close, descriptor))

    def _open(self) -> None:
        left, self.length = self.length, 0
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            self.length = os.fstat(self._descriptor).st_size
        if self.remote and left == self.length:
            return  # as we left it between two tries
        self.remote = None
        if self.length == 0:
            # A sidecar without bytes would vouch for whatever is written next.
            self.sidecar.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError, UnicodeDecodeError):
            self.remote = Remote.parse(self.sidecar.read_text("utf-8"))

    async def read(self, offset: int, count: int) -> bytes:
        """Read bytes that are here."""
        if self._descriptor is None:
            return b""
        return await self._settled(_in_thread(os.pread, self._descriptor, count, offset))

    async def write(self, offset: int, block: bytes | bytearray) -> None:
        """Write a block at its place; `length` grows with it."""
        await self._settled(_in_thread(self._write, block, offset))
        self.length = max(self.length, offset + len(block))

    def _write(self, block: bytes | bytearray, offset: int) -> None:
        if self._descriptor is None:
            # Made no sooner than there is a byte for it: a refused product leaves nothing behind.
            self.final.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _write_all(self._descriptor, block, offset)

    async def truncate(self, length: int) -> None:
        """Give up the bytes from `length` on."""
        if self._descriptor is not None:
            await self._settled(_in_thread(os.ftruncate, self._descriptor, length))
        self.length = length

    async def remember(self, remote: Remote | None) -> None:
        """Note which archive these bytes are of; None forgets it, before bytes of another version are written."""
        if remote == self.remote:
            return
        self.remote = remote
        if remote is None:
            await self._settled(_in_thread(self.sidecar.unlink, missing_ok=True))
        elif remote.size is None or remote.size > SMALL:
            await self._settled(_in_thread(self._write_sidecar, json.dumps(asdict(remote))))

    def _write_sidecar(self, text: str) -> None:
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self.sidecar.write_text(text, "utf-8")

    async def publish(self) -> None:
        """Give the archive its final name, once its bytes are safe on the disk."""
        await self._settled(_in_thread(self._publish))

    def _publish(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.path.replace(self.final)
        self.sidecar.unlink(missing_ok=True)

    async def discard(self) -> None:
        """Remove part and sidecar: these bytes are of no use."""
        await self._settled(_in_thread(self._discard))
        self.length, self.remote = 0, None

    def _discard(self) -> None:
        self.sidecar.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    async def _settled(self, operation: Awaitable[T]) -> T:
        task = asyncio.ensure_future(operation)
        with _storage_trouble(self.path):
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                while not task.done():
                    await asyncio.wait([task])
                task.exception()  # whatever it was, the cancellation goes before it
                raise


@contextmanager
def _storage_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


async def _in_thread(operation: Callable[..., T], *arguments: object, **named: object) -> T:
    wrapped: Callable[..., Awaitable[T]] = aiofiles.os.wrap(operation)
    return await wrapped(*arguments, **named)


def _write_all(descriptor: int, block: bytes | bytearray, offset: int) -> None:
    """Write the whole block: a nearly full disk takes a piece of it and says so only at the next call."""
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
