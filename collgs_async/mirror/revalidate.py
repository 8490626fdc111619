"""Ask the store whether it still has the archives that are here, and fetch those that it has replaced.

Each run asks about a few, by HEAD. An archive of another version is fetched beside the one that is here, which stays as
it is until the newer one is complete and verified.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ProductError
from collgs_async.ledger.change_records import (
    Validators,
    archives_to_ask,
    begin_change,
    changes,
    note_asked,
    note_unchanged,
    note_versions,
    pending_changes,
)
from collgs_async.ledger.outcomes import OutcomeRecord, outcome_record
from collgs_async.ledger.records import Event
from collgs_async.mirror.client_beside import ClientBeside
from collgs_async.mirror.replacing import Replacer, drop_again, path_again
from collgs_async.mirror.versions import compared, differences
from collgs_async.models.product import Status
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread
from collgs_async.transfer.archive_sizes import GoneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.config.settings import DownloadOptions
    from collgs_async.ledger.change_records import Change, HeldArchive
    from collgs_async.mirror.client_beside import Answer
    from collgs_async.mirror.context import Mirror
    from collgs_async.mirror.time_limit import TimeLimit
    from collgs_async.models.product import Outcome

__all__ = ["Revalidation", "Revalidator"]

log = logging.getLogger("collgs_async")

_AT_ONCE: Final = 100
"""Answers between two commits."""

_MOST_TOLD: Final = 5
"""Archives that the store has no more of which each has a line of its own."""

_MOST_FAILING: Final = 3
"""Requests in a row that fail before the store is asked no more in a run."""


@dataclass(slots=True)
class Revalidation:
    """What the store has told of archives that are here.

    Attributes
    ----------
    asked
        The number of archives about which the store was asked.
    changed
        The number of those that the store has in another version, also if an earlier run has noticed that.
    replaced
        The number of those that are in their places now.
    same
        The number of those whose bytes are the same.
    failed
        The number of those that could not be fetched, or put in their places.
    gone
        The number of archives that the store has no more.
    unknown
        The number of those asked about of which the answer did not tell the version, such as a login page or an error.
    bytes
        Archive bytes transferred.
    is_away
        Whether the store was asked no more, since it did not answer.
    """

    asked: int = 0
    changed: int = 0
    replaced: int = 0
    same: int = 0
    failed: int = 0
    gone: int = 0
    unknown: int = 0
    bytes: int = 0
    is_away: bool = False

    @property
    def left(self) -> int:
        """The number of those that are left to the next run, at a limit."""
        return self.changed - self.replaced - self.same - self.failed

    @property
    def ok(self) -> bool:
        """Whether the store has told something, if it was asked, and nothing has failed."""
        return not (self.failed or self.is_away or 0 < self.asked == self.unknown)


class Revalidator:
    """Revalidates some archives of a mirror, in a run of ``sync``.

    Parameters
    ----------
    client
        The client of the run, whose session is shared.
    options
        Those of the downloads, with the bytes that are left.
    limit
        The limits of time.
    begun
        When the run has begun, in milliseconds UTC: what was fetched since is not asked about.

    Attributes
    ----------
    result
        What was found and done so far.
    """

    def __init__(
        self, mirror: Mirror, client: Client, options: DownloadOptions, limit: TimeLimit, *, begun: int
    ) -> None:
        self.result = Revalidation()
        self._mirror, self._client, self._options = mirror, client, options
        self._clock, self._limit, self._begun = mirror.clock, limit, begun
        self._replacer = Replacer(mirror.ledger, mirror.run, mirror.clock)
        self._known: dict[int, Change] = {}
        self._asked: list[int] = []
        self._unchanged: list[tuple[int, Validators]] = []

    async def count(self, watch: int) -> None:
        """Count what earlier runs have noticed."""
        ledger = self._mirror.ledger
        self._known = {change.number: change for change in await ledger.run(pending_changes, watch)}
        refused = [one for one in await ledger.run(changes) if one.record is not None and not one.is_obsolete]
        self.result.changed, self.result.failed = len(self._known) + len(refused), len(refused)

    async def run(self, watch: int, most: int) -> None:
        """Ask about archives of a watch, and fetch what has changed.

        Parameters
        ----------
        most
            The number of archives to ask about, besides those that are known to have changed.

        Raises
        ------
        AuthenticationError, StorageError
            The store requires a login; the folder is full or not writable.
        LedgerError
            The ledger cannot be read or written.
        """
        ledger, limit = self._mirror.ledger, self._limit
        await self._take_complete()
        client = ClientBeside(self._client, self._options)
        while archives := await ledger.run(archives_to_ask, watch, most - self.result.asked, before=self._begun):
            found = await self._ask(client, archives)
            if self.result.is_away or limit() or (found and not await self._fetch(found)):
                break
        if self.result.gone > _MOST_TOLD:
            others = plural(self.result.gone - _MOST_TOLD, "other archive")
            log.warning("the store has %s no more; what is here stays", others)
        await self._replacer.clear()

    async def _take_complete(self) -> None:
        """Put those in their places that a killed run has fetched."""
        for change in await self._mirror.ledger.run(changes):
            if change.is_obsolete or change.record is not None:
                continue
            if record := await in_thread(None, partial(self._complete, change)):
                self.result.changed += self._known.pop(change.number, None) is None
                await self._take(change, record)

    def _complete(self, change: Change) -> OutcomeRecord | None:
        """Return the download of an archive that a killed run has completed; None: none has.

        Its validators are those that the store told before the download; so at worst it is fetched once more.
        """
        try:
            status = path_again(self._mirror.ledger.paths.folder, change.path).stat()
        except OSError:
            return None
        return OutcomeRecord(
            change.identifier,
            Event.DOWNLOADED,
            change.at,
            size=status.st_size,
            mtime=status.st_mtime_ns // 10**6,
            etag=change.there.etag,
            modified=change.there.modified,
            how=self._options.verify,
        )

    async def _ask(self, client: ClientBeside, archives: Sequence[HeldArchive]) -> list[HeldArchive]:
        """Ask the store, within the time that is left, and note its answers; return those that have changed."""
        found: list[HeldArchive] = []
        try:
            async with asyncio.timeout(self._limit.left) as timer:
                await self._ask_all(client, archives, found)
        except TimeoutError:
            if not timer.expired():
                raise
            log.info("stopping: the time is over in which the store is asked about archives")
        await self._flush()
        return found

    async def _ask_all(self, client: ClientBeside, archives: Sequence[HeldArchive], found: list[HeldArchive]) -> None:
        by_name = {one.product.identifier: one for one in archives}
        failing: list[int] = []
        async with aclosing(client.answers([one.product for one in archives])) as answers:
            async for product, answer in answers:
                archive = by_name[product.identifier]
                self.result.asked += 1
                if isinstance(answer, ProductError) and not isinstance(answer, GoneError):
                    failing.append(archive.number)
                    self._count_unknown(archive)
                    if len(failing) == _MOST_FAILING:
                        self.result.is_away = True
                        log.error("the store is asked about no more archives in this run: %s", answer)
                        return
                    continue
                self._asked += failing
                failing = []
                if await self._note(client, archive, answer):
                    found.append(archive)
                if self._limit():
                    break
        # One that the store does not answer about keeps no others from their turn.
        self._asked += failing

    def _count_unknown(self, archive: HeldArchive) -> None:
        self.result.unknown += 1
        self.result.failed += archive.number in self._known

    async def _note(self, client: ClientBeside, archive: HeldArchive, answer: Answer) -> bool:
        """Note an answer about an archive; return whether the store has another one."""
        name, known = archive.product.identifier, self._known.get(archive.number)
        there, different = Validators(), list[str]()
        if isinstance(answer, ProductError):
            self.result.gone += 1
            level = logging.WARNING if self.result.gone <= _MOST_TOLD else logging.DEBUG
            log.log(level, "%s: the store has it no more: %s; the archive here stays", name, answer)
        elif answer is None or (version := await compared(client, archive, answer)) is None:
            log.debug("%s: the store's answer does not tell which version it has", name)
            self._asked.append(archive.number)
            self._count_unknown(archive)
            return False
        else:
            there, different = version
        if not different:
            self.result.changed -= known is not None
            self._unchanged.append((archive.number, there))
            if len(self._unchanged) >= _AT_ONCE:
                await self._flush()
            return False
        log.info("%s: the store has another archive (%s)", name, ", ".join(different))
        self.result.changed += known is None
        await self._begin(archive, there, known)
        return True

    async def _begin(self, archive: HeldArchive, there: Validators, known: Change | None) -> None:
        ledger = self._mirror.ledger
        if known is None or differences(known.there, there):  # then nothing that lies there is of this version
            await in_thread(None, partial(drop_again, ledger.paths.folder, archive.path))
        is_due = bool(self._mirror.config.keep.on_archive)
        await ledger.run(begin_change, archive, there, now=self._clock(), is_due=is_due)

    async def _flush(self) -> None:
        """Write down the answers that wait."""
        asked, unchanged = self._asked, self._unchanged
        self._asked, self._unchanged = [], []
        await self._mirror.ledger.run(note_asked, asked, self._clock())
        await self._mirror.ledger.run(note_versions, unchanged)
        await self._mirror.ledger.run(note_unchanged, [number for number, _ in unchanged], self._clock())

    async def _fetch(self, archives: Sequence[HeldArchive]) -> bool:
        """Fetch archives, and put each one in its place once it is complete; return whether no limit was reached.

        Where the disk has no room for all of them, one is fetched after the other, so that as many as fit get complete.
        """
        by_number = {change.number: change for change in await self._mirror.ledger.run(changes)}
        known = {one.product.identifier: by_number[one.number] for one in archives}
        needed = sum(change.there.size or 0 for change in known.values())
        has_room = needed < await in_thread(None, partial(_free_space, self._mirror.ledger.paths.folder))
        for some in [archives] if has_room else [[one] for one in archives]:
            if self._limit() or not await self._fetch_some(some, known):
                return False
        return True

    async def _fetch_some(self, archives: Sequence[HeldArchive], known: dict[str, Change]) -> bool:
        outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        taking = asyncio.create_task(self._take_all(outcomes, known))
        async with ClientBeside(self._client, self._options_left()) as client:
            try:
                await client.download_all([one.product for one in archives], on_outcome=outcomes.put_nowait)
            finally:
                outcomes.put_nowait(None)
                self.result.bytes += client.report.bytes
                await wait_completed(taking)
        return client.report.limit is None

    def _options_left(self) -> DownloadOptions:
        """Return the options of a download, with what is left of the limits."""
        options, left = self._options, self._limit.left
        if options.max_bytes is not None:
            options = replace(options, max_bytes=max(1.0, options.max_bytes - self.result.bytes))
        if options.max_time is not None and left is not None:
            options = replace(options, max_time=max(1.0, left))
        return options

    async def _take_all(self, outcomes: asyncio.Queue[Outcome | None], known: dict[str, Change]) -> None:
        top = self._mirror.ledger.paths.folder
        while (outcome := await outcomes.get()) is not None:
            make = partial(outcome_record, outcome, top, at=self._clock(), how=self._options.verify)
            record = await in_thread(None, make)
            if outcome.status is Status.DOWNLOADED and record is not None:
                await self._take(known[outcome.product.identifier], record)
            else:
                self.result.failed += 1
                why = outcome.error or outcome.reason
                log.error(
                    "%s: changed at the store, and not fetched: %s; the archive here stays, and the next sync tries "
                    "again",
                    outcome.product.identifier,
                    why,
                )

    async def _take(self, change: Change, record: OutcomeRecord) -> None:
        done = await self._replacer.take(change, record, self._mirror.config.keep.superseded)
        self.result.same += done is None
        self.result.replaced += done is True
        self.result.failed += done is False


def _free_space(folder: Path) -> int:
    return shutil.disk_usage(folder).free
