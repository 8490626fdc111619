"""The part: an archive on its way, and the sidecar that says which archive it is.

Bytes go to ``<name>.zip.part``; while one connection appends, the part's own length is the record of what is here.
Beside it ``<name>.zip.part.json`` holds what the server said the archive is (URL, length, validators), so that a later
run can ask for the rest of that same version. A final name is given by rename only, and only by `PartFile.publish`.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from collgs_async.errands import Errands
from collgs_async.errors import StorageError
from collgs_async.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = [
    "Block",
    "PartFile",
    "Remote",
    "file_name",
    "folds_case",
    "parse_sidecar",
    "part_of",
    "reopen",
    "sync_folder",
]

T = TypeVar("T")
Block: TypeAlias = bytes | bytearray | memoryview

SMALL: Final = 4 * 2**20
"""Bytes; a shorter archive gets no sidecar, for losing it costs less than the sidecars of a hundred thousand do."""

_RECORD_EACH: Final = 2**20
"""Bytes that may be written between two records of the ranges: what a kill can cost, beside what is in memory."""

_PART, _SIDECAR = ".part", ".part.json"
_LONGEST_NAME = 255 - len(".zip.part.lease~~~")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LOOKS_CHANGED = re.compile(r"-[0-9a-f]{8}$")
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


def parse_sidecar(text: str) -> tuple[Remote | None, Ranges | None]:
    """Read a sidecar: which archive, and which ranges of it; None for what is damaged or was never said."""
    try:
        fields = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None, None
    return _parse_remote(fields), _parse_ranges(fields.get("ranges"))


def _parse_remote(fields: Mapping[str, object]) -> Remote | None:
    match fields:
        case {"url": str(url), "size": None | int() as size} if type(size) is not bool and (size or 0) >= 0:
            words = [fields.get(name) for name in ("etag", "last_modified", "date")]
            if all(isinstance(value, str | None) for value in words):
                return Remote(url, size, *words)  # type: ignore[arg-type]  # each is text or None
    return None


def _parse_ranges(spans: object) -> Ranges | None:
    ranges = Ranges()
    for pair in spans if isinstance(spans, list) else [None]:
        match pair:
            case [int(first), int(end)] if type(first) is type(end) is int and 0 <= first < end:
                ranges.add(first, end)
            case _:
                return None
    return ranges


def folds_case(folder: Path) -> bool:
    """Tell whether names that differ only in case are the same there; the folder need not exist yet."""
    here = folder.absolute()
    while not here.exists() or here.name.swapcase() == here.name:
        if here == here.parent:
            return False
        here = here.parent
    other = here.with_name(here.name.swapcase())
    return other.exists() and other.samefile(here)


def file_name(identifier: str, *, folds_case: bool = False) -> str:
    """Make the archive's file name of a product's identifier, which is not ours and may be anything.

    A name that had to be changed or shortened carries a digest of the identifier, so that two never share a file.

    Parameters
    ----------
    identifier
        The product's name.
    folds_case
        Whether small letters have to count as changed: names of Sentinels have none.
    """
    safe = _UNSAFE.sub("_", identifier)[:_LONGEST_NAME]
    if safe.startswith((".", "-")) or _RESERVED.match(safe) or not safe:
        safe = f"_{safe}"
    if safe != identifier or _LOOKS_CHANGED.search(safe) or (folds_case and safe != safe.upper()):
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: _LONGEST_NAME - 9]}-{digest}"
    return f"{safe}.zip"


def part_of(final: Path) -> Path:
    """Say where an archive is while it has no final name."""
    return final.with_name(final.name + _PART)


class PartFile:
    """An unfinished archive on disk, open for reading and writing; use it as an asynchronous context manager.

    Several tasks may use it at once; it is closed when the last one leaves. Every operation on the disk that runs in a
    thread is awaited to its end even when the task is cancelled: left alone, it would write into whatever file gets
    the same descriptor next.

    While one connection appends, the part's own length is the record of what is here. As soon as there is a gap,
    the sidecar lists the ranges: before the first byte that leaves a gap behind it, and then after the bytes that
    it speaks of.

    Parameters
    ----------
    final
        Where the verified archive will be.
    errands
        Who does the operations on the disk; None: somebody of its own.
    watch
        Called with the place of each block and the block, right before it is written, in the thread that writes it;
        None: nobody wants to know.

    Attributes
    ----------
    path, sidecar
        The part and its sidecar, in the same folder.
    held
        The bytes that are here.
    remote
        Which archive they are of; None when nobody remembers, or when only equal bytes say so.
    scattered
        Whether the sidecar is the record of what is here, since the part's length is none.
    """

    def __init__(
        self,
        final: Path,
        errands: Errands | None = None,
        *,
        watch: Callable[[int, Block], None] | None = None,
    ) -> None:
        self.final = final
        self._errands = errands or Errands()
        self._watch = watch
        self.path = part_of(final)
        self.sidecar = final.with_name(final.name + _SIDECAR)
        self.held = Ranges()
        self.remote: Remote | None = None
        self._descriptor: int | None = None
        self._users = 0
        self._absent = False
        self.scattered = False
        self._unrecorded = 0
        self._opening = asyncio.Lock()
        self._recording = asyncio.Lock()

    async def __aenter__(self) -> Self:
        async with self._opening:
            if self._users == 0 and not self._absent:
                await self._do(self._open)
            self._absent = False
            self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._opening:
            self._users -= 1
            if self._users:
                return
            try:
                if self.scattered and self._unrecorded:
                    await self._record()
            finally:
                if not self._is_complete():  # else it is closed when it gets its name, which comes next
                    await self.close()

    def look(self) -> None:
        """Look what is here, in the thread that one is in, which spares one the first entering when that is nothing."""
        with _storage_trouble(self.path):
            self._open()
            self._close()
        self._absent = not self.held.total

    def _is_complete(self) -> bool:
        return self.remote is not None and self.remote.size == self.held.total

    async def close(self) -> None:
        """Let go of the file, where that has not happened yet."""
        if self._descriptor is not None:
            await self._do(self._close)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor is not None:
            return
        length = 0
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            length = os.fstat(self._descriptor).st_size
        if self.remote and self.held.end == length:
            return  # as we left it between two tries
        self.remote, self.held = None, Ranges([(0, length)])
        if length == 0:
            # A sidecar without bytes would vouch for whatever is written next.
            self.sidecar.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError, UnicodeDecodeError):
            self.remote, recorded = parse_sidecar(self.sidecar.read_text("utf-8"))
            if recorded is not None:
                recorded.remove(length, recorded.end)
                self.held, self.scattered = recorded, True

    async def read(self, offset: int, count: int) -> bytes:
        """Read bytes that are here."""
        if self._descriptor is None:
            return b""
        return await self._do(os.pread, self._descriptor, count, offset)

    async def write(self, offset: int, block: Block) -> None:
        """Write a block at its place."""
        if offset > self.held.prefix and not self.scattered:
            await self._record(scattered=True)
            self.scattered = True  # not before: whoever writes beyond the gap meanwhile has to record it, too
        await self._do(self._write, block, offset)
        await self.landed(offset, len(block))

    def write_here(self, offset: int, block: Block) -> None:
        """Write a block right behind one that `write` wrote, in the thread that one is in; `landed` is due then."""
        with _storage_trouble(self.path):
            self._write(block, offset)

    async def landed(self, offset: int, count: int) -> None:
        """Take note of bytes that are written."""
        self.held.add(offset, offset + count)
        self._unrecorded += count
        if self.scattered and self._unrecorded >= _RECORD_EACH:
            await self._record()

    def _write(self, block: Block, offset: int) -> None:
        if self._descriptor is None:
            # Made no sooner than there is a byte for it: a refused product leaves nothing behind.
            self._descriptor = _create(self.path)
        if self._watch is not None:
            self._watch(offset, block)  # before, since a write that fails may have put down a piece of it
        _write_all(self._descriptor, block, offset)

    def write_out(self, offset: int, count: int) -> None:
        """Have the system begin to bring bytes to the disk, which it otherwise puts off until they are flushed."""
        if self._descriptor is not None and _sync_file_range is not None:
            _sync_file_range(self._descriptor, offset, count, _SYNC_FILE_RANGE_WRITE)

    async def cut(self, length: int) -> None:
        """Give up the bytes from `length` on."""
        self.held.remove(length, self.held.end)
        if self._descriptor is not None:
            await self._do(os.ftruncate, self._descriptor, length)
        self.scattered = self.scattered and self.held.total > self.held.prefix
        if self.scattered:
            await self._record()

    async def lose(self, spans: Iterable[tuple[int, int]]) -> None:
        """Give up some ranges, which turned out to be wrong."""
        for first, end in spans:
            self.held.remove(first, end)
        self.scattered = True
        await self._record()

    async def remember(self, remote: Remote | None) -> None:
        """Note which archive these bytes are of; None forgets it, before bytes of another version are written."""
        if remote == self.remote:
            return
        self.remote = remote
        if self.scattered or (remote and (remote.size is None or remote.size > SMALL)):
            await self._record()
        elif remote is None:
            async with self._recording:
                await self._do(self.sidecar.unlink, missing_ok=True)

    async def _record(self, *, scattered: bool = False) -> None:
        async with self._recording:
            self._unrecorded = 0
            fields = asdict(self.remote) if self.remote else {}
            if scattered or self.scattered:
                fields["ranges"] = list(self.held)
            await self._do(self._write_sidecar, json.dumps(fields).encode())

    def _write_sidecar(self, text: bytes) -> None:
        """Write it in one system call over the old one: there is no moment at which a kill leaves half of it."""
        descriptor = _create(self.sidecar)
        try:
            _write_all(descriptor, text.ljust(os.fstat(descriptor).st_size), 0)
        finally:
            os.close(descriptor)

    async def publish(self) -> None:
        """Give the archive its final name, once its bytes are safe on the disk."""
        await self._do(self.publish_here)

    def publish_here(self) -> None:
        """Publish in the thread that one is in."""
        self._unrecorded = 0  # else whoever leaves later, as a helper that came too late, writes a sidecar again
        with _storage_trouble(self.path):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.fsync(self._descriptor)
            finally:
                self._close()
            # In this order: killed in between, the next run verifies the part again, and nothing is left behind.
            self.sidecar.unlink(missing_ok=True)
            self.path.replace(self.final)

    async def discard(self) -> None:
        """Remove part and sidecar: these bytes are of no use."""
        await self._do(self._discard)
        self.held, self.remote, self.scattered, self._unrecorded = Ranges(), None, False, 0

    def _discard(self) -> None:
        self._close()  # somebody may still be inside, and the next bytes belong into a new file
        # In this order: a sidecar without its part is dropped, a part without its sidecar would be believed.
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)

    async def _do(self, operation: Callable[..., T], *arguments: object, **named: object) -> T:
        with _storage_trouble(self.path):
            return await self._errands.run(operation, *arguments, **named)


def _create(path: Path) -> int:
    """Open a file to read and write, make it when it is missing, and its folder, too."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Find a call of Linux that Python does not hand on."""
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _find_sync_file_range()
_SYNC_FILE_RANGE_WRITE = 2


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder safely to the disk; once for many, since an archive without its name is a part."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reopen(final: Path, damaged: Iterable[tuple[int, int]]) -> None:
    """Take an archive's final name away and make it a part again, of which some ranges are missing.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    part = PartFile(final)
    with _storage_trouble(final):
        held = Ranges([(0, final.stat().st_size)])
        for first, end in damaged:
            held.remove(first, end)
        # Killed in between, the part has no sidecar, so that it is checked member by member.
        final.replace(part.path)
        part.sidecar.write_text(json.dumps({"ranges": list(held)}), "utf-8")


@contextmanager
def _storage_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _write_all(descriptor: int, block: Block, offset: int) -> None:
    """Write the whole block: a nearly full disk takes a piece of it and says so only at the next call."""
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
