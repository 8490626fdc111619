"""Decide what to download again after a failed verification: the damaged members, or the whole archive."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError, IntegrityError, UnreadableError
from collgs_async.storage.archive_reading import quoted
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import readable, storage_trouble
from collgs_async.storage.identity import OtherProductError
from collgs_async.storage.verify import DamagedMembersError, UnprovenError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collgs_async.transfer.job import DownloadJob

__all__ = ["ArchiveRepair"]

_READ_SIZE: Final = 2**20


class ArchiveRepair:
    """The attempts to repair one archive.

    If members have wrong checksums, only their ranges are downloaded again. If these arrive with the same digest, the
    archive is damaged on the server; it is kept if only local headers contradict the central directory and the data
    are correct. For any other fault the whole archive is downloaded once more. So is an archive that was joined
    without proof, and from then on bytes are joined only with a strong validator. Bytes that the disk cannot read back
    are downloaded once more into a new file.
    """

    def __init__(self, job: DownloadJob) -> None:
        self._job = job
        self._digests: dict[tuple[int, int], bytes] = {}
        self._members_refetched = False
        self._started_over = False

    async def prepare_retry(self, error: IntegrityError) -> str:
        """Prepare the part file for the next attempt, and return a description of that attempt for the log.

        Raises
        ------
        IntegrityError
            There is nothing left to try; the part file has been removed.
        FileError
            The disk could not read back the second file either; it has been removed, too.
        """
        job = self._job
        spans = _spans(error)
        if isinstance(error, UnprovenError) and job.joins:
            job.refuse_joins()
            await self._discard_all()
            return "fetching it once more, whole"
        if spans and await self._has_same_digests(spans):
            if isinstance(error, DamagedMembersError) and all(damage.header_only for damage in error.damaged):
                job.accept_contradictions()
                return "it came with the same bytes twice, and its data are right: it is kept"
            await self._give_up(f"{error}; it came with the same bytes twice, so the archive is bad on the server")
        if spans and not self._members_refetched:
            self._members_refetched = True
            async with job.part:
                await job.part.invalidate(spans)
            job.record_damage()
            return "fetching that part of it again" if len(spans) == 1 else "fetching those parts of it again"
        if self._started_over and isinstance(error, UnreadableError):
            await job.part.discard()
            raise FileError(f"{job.part.path}: {error}, also after it was fetched once more") from error
        if self._started_over and isinstance(error, OtherProductError):
            await self._give_up(f"the store sent the archive of {quoted(error.product)}, twice")
        if self._started_over:
            await self._give_up(f"{error}; it came like this twice, so the archive is bad on the server")
        self._started_over = True
        await self._discard_all()
        return "fetching it once more"

    async def _discard_all(self) -> None:
        await self._job.part.discard()
        self._job.reset()

    async def _has_same_digests(self, spans: list[tuple[int, int]]) -> bool:
        path = self._job.part.path
        try:
            with storage_trouble(path), readable():
                digests = await in_thread(None, partial(_digests, path, spans))
        except UnreadableError:
            return False  # the next download overwrites these ranges
        same = bool(self._digests) and all(self._digests.get(span) == digest for span, digest in digests.items())
        self._digests |= digests
        return same

    async def _give_up(self, words: str) -> None:
        await self._job.part.discard()
        raise IntegrityError(words)


def _spans(error: IntegrityError) -> list[tuple[int, int]]:
    damaged = error.damaged if isinstance(error, DamagedMembersError) else ()
    return [(damage.start, damage.end) for damage in damaged]


def _digests(path: Path, spans: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    found = {}
    with path.open("rb") as file:
        for first, end in spans:
            digest = hashlib.blake2b()
            file.seek(first)
            while first < end and (piece := file.read(min(_READ_SIZE, end - first))):
                digest.update(piece)
                first += len(piece)
            found[first, end] = digest.digest()
    return found
