"""Ask the store whether it still has the archives that are here, and fetch those that it has replaced.

Each run asks about a few, by HEAD. An archive of another version is fetched beside the one that is here, which stays as
it is until the newer one is complete and verified.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
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
)
from collgs_async.ledger.outcomes import OutcomeRecord, outcome_record
from collgs_async.ledger.records import Event
from collgs_async.mirror.client_beside import ClientBeside
from collgs_async.mirror.replacing import Replacer, drop_again, path_again
from collgs_async.models.product import Status
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.storage.archive_reading import never
from collgs_async.storage.executor import in_thread
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.transfer.archive_sizes import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collgs_async.client import Client
    from collgs_async.config.settings import DownloadOptions
    from collgs_async.ledger.change_records import Change, HeldArchive
    from collgs_async.mirror.client_beside import Answer
    from collgs_async.mirror.context import Mirror
    from collgs_async.models.product import Outcome

__all__ = ["Revalidation", "Revalidator", "differences"]

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
    bytes: int = 0
    is_away: bool = False

    @property
    def left(self) -> int:
        """The number of those that are left to the next run, at a limit."""
        return self.changed - self.replaced - self.same - self.failed


def differences(here: Validators, there: Validators) -> list[str]:
    """Return in what two versions of an archive differ; what only one side tells is not compared.

    Entity tags are compared weakly (RFC 9110, section 8.8.3.2): a weak one is another one only by its text.
    """
    found = []
    if None not in (here.size, there.size) and here.size != there.size:
        found.append("length")
    if here.etag and there.etag and here.etag.removeprefix("W/") != there.etag.removeprefix("W/"):
        found.append("ETag")
    if here.modified and there.modified and not _is_same_time(here.modified, there.modified):
        found.append("Last-Modified")
    return found


def _has_other_etag(answer: Answer, etag: str | None) -> bool:
    return isinstance(answer, RemoteVersion) and answer.etag != etag


def _is_same_time(one: str, other: str) -> bool:
    try:
        return one == other or parsedate_to_datetime(one) == parsedate_to_datetime(other)
    except (ValueError, TypeError, OverflowError):  # one is no date, or only one has a time zone
        return False


class Revalidator:
    """Revalidates some archives of a mirror, in a run of ``sync``.

    Parameters
    ----------
    client
        The client of the run, whose session is shared.
    options
        The limits that are left.
    until
        Called before each archive; returns True if the store is to be asked about no more.

    Attributes
    ----------
    result
        What was found and done so far.
    """

    def __init__(
        self, mirror: Mirror, client: Client, options: DownloadOptions, *, until: Callable[[], bool] = never
    ) -> None:
        self.result = Revalidation()
        self._mirror, self._client, self._options = mirror, client, options
        self._clock, self._until = mirror.clock, until
        self._replacer = Replacer(mirror.ledger, mirror.run, mirror.clock)
        self._pending: set[int] = set()
        self._asked: list[int] = []
        self._unchanged: list[int] = []

    async def run(self, watch: int, most: int) -> None:
        """Ask about archives of a watch, and fetch what has changed.

        Parameters
        ----------
        most
            The number of archives to ask about.

        Raises
        ------
        AuthenticationError, StorageError
            The store requires a login; the folder is full or not writable.
        LedgerError
            The ledger cannot be read or written.
        """
        ledger = self._mirror.ledger
        for change in await ledger.run(changes):
            if change.is_obsolete:
                continue
            if change.record is not None:  # it was tried at the beginning of this run
                self.result.changed += 1
                self.result.failed += 1
            elif record := await in_thread(None, partial(self._complete, change)):
                self.result.changed += 1
                await self._take(change, record)
        archives = await ledger.run(archives_to_ask, watch, most)
        self._pending = {change.number for change in await ledger.run(changes)} & {one.number for one in archives}
        self.result.changed += len(self._pending)
        async with ClientBeside(self._client, self._options) as client:
            found = await self._ask(client, archives)
            if found and not self.result.is_away and not self._until():
                await self._fetch(client, found)
        await self._replacer.clear()

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
            self._clock(),
            size=status.st_size,
            mtime=status.st_mtime_ns // 10**6,
            etag=change.there.etag,
            modified=change.there.modified,
            how=self._options.verify,
        )

    async def _ask(self, client: ClientBeside, archives: Sequence[HeldArchive]) -> list[HeldArchive]:
        """Ask the store, and note its answers; return those that have changed."""
        by_name = {one.product.identifier: one for one in archives}
        found: list[HeldArchive] = []
        failing: list[int] = []
        async with aclosing(client.answers([one.product for one in archives])) as answers:
            async for product, answer in answers:
                archive = by_name[product.identifier]
                self.result.asked += 1
                if isinstance(answer, ProductError) and not isinstance(answer, GoneError):
                    failing.append(archive.number)
                    self.result.failed += archive.number in self._pending
                    if len(failing) == _MOST_FAILING:
                        self.result.is_away = True
                        log.error("the store is asked about no more archives in this run: %s", answer)
                        break
                    continue
                self._asked += failing
                failing = []
                if await self._note(client, archive, answer):
                    found.append(archive)
                if self._until():
                    break
        # One that the store does not answer about keeps no others from their turn.
        self._asked += [] if self.result.is_away else failing
        await self._flush()
        if (others := self.result.gone - _MOST_TOLD) > 0:
            log.warning("the store has %s no more; what is here stays", plural(others, "other archive"))
        return found

    async def _note(self, client: ClientBeside, archive: HeldArchive, answer: Answer) -> bool:
        """Note an answer about an archive; return whether the store has another one."""
        name, ledger = archive.product.identifier, self._mirror.ledger
        different: list[str] = []
        if isinstance(answer, ProductError):
            self.result.gone += 1
            level = logging.WARNING if self.result.gone <= _MOST_TOLD else logging.DEBUG
            log.log(level, "%s: the store has it no more: %s; the archive here stays", name, answer)
        elif answer is None:
            log.debug("%s: the store's answer does not tell which version it has", name)
            self._asked.append(archive.number)
            self.result.failed += archive.number in self._pending
            return False
        else:
            there = Validators(answer.size, answer.etag, answer.last_modified)
            different = differences(archive.here, there)
            if different == ["ETag"] and _has_other_etag(await client.answer(archive.product), answer.etag):
                different = []  # the store has another one for each answer, or at each of its nodes
        if not different:
            self.result.changed -= archive.number in self._pending
            self._unchanged.append(archive.number)
            if len(self._unchanged) >= _AT_ONCE:
                await self._flush()
            return False
        log.info("%s: the store has another archive (%s)", name, ", ".join(different))
        if archive.number not in self._pending:  # then nothing that lies there is of this change
            self.result.changed += 1
            await in_thread(None, partial(drop_again, ledger.paths.folder, archive.path))
        is_due = bool(self._mirror.config.keep.on_archive)
        await ledger.run(begin_change, archive, there, now=self._clock(), is_due=is_due)
        return True

    async def _flush(self) -> None:
        """Write down the answers that wait."""
        asked, unchanged = self._asked, self._unchanged
        self._asked, self._unchanged = [], []
        await self._mirror.ledger.run(note_asked, asked, self._clock())
        await self._mirror.ledger.run(note_unchanged, unchanged, self._clock())

    async def _fetch(self, client: ClientBeside, archives: Sequence[HeldArchive]) -> None:
        """Fetch archives, and put each one in its place as soon as it is complete."""
        by_number = {change.number: change for change in await self._mirror.ledger.run(changes)}
        known = {one.product.identifier: by_number[one.number] for one in archives}
        outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        taking = asyncio.create_task(self._take_all(outcomes, known))
        try:
            await client.download_all([one.product for one in archives], on_outcome=outcomes.put_nowait)
        finally:
            outcomes.put_nowait(None)
            self.result.bytes += client.report.bytes
            await wait_completed(taking)

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
