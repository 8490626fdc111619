"""Turn a published archive back into a part file, of which only the damaged ranges are downloaded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.storage.files import refuse_odd, remove_file, storage_trouble
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import sidecar_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collgs_async.storage.part import PartFile

__all__ = ["reopen_as_part"]


def reopen_as_part(part: PartFile, damaged: Iterable[tuple[int, int]]) -> None:
    """Turn the published archive of a part file, whose lock is held, back into this part file.

    Parameters
    ----------
    damaged
        Ranges ``(first, one past the last)`` that are missing from then on.

    Raises
    ------
    FileError
        The archive, or what has the name of its part file, is not a regular file.
    StorageError
        The folder cannot be written.
    """
    with storage_trouble(part.final):
        status = part.final.lstat()
        refuse_odd(part.final, status.st_mode)
        held = ByteRanges([(0, status.st_size)])
        for first, end in damaged:
            held.remove(first, end)
        remove_file(part.path)
        remove_file(part.sidecar)
        # If the process is killed in between, the part file has no sidecar, so it is verified by checksum.
        part.final.replace(part.path)
        part.write_sidecar(sidecar_text(None, held))
