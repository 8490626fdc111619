"""All outcomes of a run in little memory: those of a long one are in a temporary file."""

from __future__ import annotations

import pickle
import struct
import weakref
import zlib
from collections.abc import Collection
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import StorageError
from collgs_async.models.product import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Outcomes"]

_AT_ONCE: Final = 100
"""Outcomes that are compressed together, since their names and addresses are much alike."""

_IN_MEMORY: Final = 2**16
"""Bytes from which on they are on disk: some hundreds of outcomes."""

_LENGTH: Final = struct.Struct(">I")


class Outcomes(Collection[Outcome]):
    """The outcomes of a run, in order of time; each iteration reads them anew, a few at a time.

    A pickled copy is a tuple. Where the temporary folder is full, the run goes on, and iterating raises a StorageError.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (it is closed by the finalizer)
        weakref.finalize(self, self._file.close)
        self._lock = Lock()
        self._latest: list[bytes] = []
        self._ends = 0
        self._count = 0
        self._lost: str | None = None

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a product."""
        self._count += 1
        self._latest.append(pickle.dumps(outcome))
        if len(self._latest) >= _AT_ONCE:
            self._store()

    def _store(self) -> None:
        packing = zlib.compressobj(1, zlib.DEFLATED, 13, 6)  # 40 kB, rather than 270 kB
        packed = packing.compress(pickle.dumps(self._latest)) + packing.flush()
        self._latest = []
        try:
            with self._lock:
                self._file.seek(self._ends)
                self._file.write(_LENGTH.pack(len(packed)) + packed)
                self._ends = self._file.tell()
        except OSError as error:
            self._lost = self._lost or str(error.strerror)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, outcome: object) -> bool:
        return any(outcome == one for one in self)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield each outcome.

        Raises
        ------
        StorageError
            Some of them could not be kept, since the temporary folder was full.
        """
        if self._lost:
            raise StorageError(f"the outcomes of the run could not be kept in the temporary folder: {self._lost}")
        latest, ends, at = self._latest, self._ends, 0
        while at < ends:
            with self._lock:
                self._file.seek(at)
                (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
                packed = self._file.read(length)
            at += _LENGTH.size + length
            yield from map(_unpickled, _unpickled(zlib.decompress(packed)))
        yield from map(_unpickled, latest)

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)

    def __repr__(self) -> str:
        return f"<{self._count:,} outcomes>"


def _unpickled(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301  (this process wrote it, into a file without a name)
