"""List the members of an archive in the store, and which of them are wanted and here."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError, NotAvailableError, ProductError
from collgs_async.models.member_facts import describe_member
from collgs_async.models.member_list import ArchiveMember, MemberList
from collgs_async.selection.bands import choose_members
from collgs_async.storage.filenames import parts_folder
from collgs_async.storage.member_spans import coalesced, member_spans
from collgs_async.storage.parts_record import read_record
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_format import STORED
from collgs_async.transfer.parts_job import TAIL
from collgs_async.transfer.range_request import strong_validator
from collgs_async.transfer.store_errors import WholeArchivesOnlyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from collgs_async.models.product import Product
    from collgs_async.models.wish import Wish
    from collgs_async.storage.zip_directory import Directory, Member
    from collgs_async.transfer.downloader import Downloader

__all__ = ["MemberLists"]

log = logging.getLogger("collgs_async")


class MemberLists:
    """Lists the members of one archive after the other.

    Parameters
    ----------
    downloader
        Returns the open downloader, which reads directories.
    wish
        Which members are wanted; an empty one means all.
    sizes
        Determines the size of an archive that would be fetched whole, as the store has no ranges; None: none would be.
    """

    def __init__(
        self,
        downloader: Callable[[], Awaitable[Downloader]],
        wish: Wish,
        *,
        sizes: Callable[[Product], Awaitable[Product]] | None = None,
    ) -> None:
        self._open = downloader
        self._wish = wish
        self._sizes = sizes
        self._told = False

    async def read(self, product: Product) -> MemberList:
        """List the members of an archive.

        Raises
        ------
        NotAvailableError
            The store does not serve it, or sends whole archives only; or the archive has no wanted band.
        IntegrityError
            The archive has no valid directory, or is another product's.
        TransferError
            The connection or the server failed.
        """
        downloader = await self._open()
        directory, size = await downloader.directory(product)
        final = downloader.path_for(product)
        # Thousands of hostile names take a second, and files that were touched are read.
        return await downloader.disk.run_stoppable(
            lambda stop: _list(product, directory, size, self._wish, _Here.find(final, directory, stop))
        )

    async def try_read(self, product: Product) -> tuple[Product, MemberList | None]:
        """Return a product with its sizes, and its members; None, with a warning, where these cannot be had.

        The product then has its `problem` where a download would fail; where it would fetch the whole archive,
        ``wanted`` is the size of that.

        Raises
        ------
        AuthenticationError, StorageError
            As for a download.
        """
        try:
            members = await self.read(product)
        except WholeArchivesOnlyError as error:
            if self._sizes is not None:
                whole = await self._sizes(product)
                return replace(whole, wanted=whole.size), None
            if not self._told:  # it is the same for every product of the store
                self._told = True
                log.warning("%s: %s", product.identifier, error)
            return replace(product, wanted=None, problem=str(error)), None
        except ProductError as error:
            log.warning("%s: what of it would be fetched is not known: %s", product.identifier, error)
            if isinstance(error, NotAvailableError):
                return replace(product, wanted=None, problem=str(error)), None
        else:
            return members.sized_product, members
        return replace(product, wanted=None), None


def _list(product: Product, directory: Directory, size: int, wish: Wish, here: _Here) -> MemberList:
    files = [member for member in directory.members if not member.name.endswith("/")]
    chosen = set(choose_members([member.name for member in files], wish, identifier=product.identifier))
    wanted = [member for member in files if member.name in chosen]
    members = []
    for member in files:
        facts = describe_member(member.name)
        band, metres = facts.band, facts.resolution
        packed, is_here = member.compressed, member.name in here.names
        members.append(
            ArchiveMember(member.name, member.uncompressed, packed, band, metres, member.name in chosen, is_here)
        )
    wanted_bytes, here_bytes = size, size
    if wish:
        missing = [member for member in wanted if member.name not in here.names]
        wanted_bytes = _bytes_to_fetch(directory, size, wanted)
        here_bytes = wanted_bytes - _bytes_to_fetch(directory, size, missing, has_directory=here.directory)
    elif not here.archive:
        # What is packed in the archive cannot be packed into the same bytes again.
        stored = [member for member in wanted if member.name in here.names and member.method == STORED]
        here_bytes = member_spans(directory, stored).total
    return MemberList(product, size, tuple(members), wanted_bytes, here_bytes, has_wish=bool(wish))


def _bytes_to_fetch(directory: Directory, size: int, missing: Sequence[Member], *, has_directory: bool = False) -> int:
    """Return how many bytes of an archive a download moves for members: with its end, and short gaps between them."""
    if not missing:
        return 0
    end = ByteRanges([(directory.start if has_directory else min(directory.start, max(0, size - TAIL)), size)])
    return coalesced(member_spans(directory, missing), end).total + (0 if has_directory else end.total)


@dataclass(frozen=True, slots=True)
class _Here:
    """What the output folder has of this version of an archive.

    Attributes
    ----------
    names
        Names of the members that need not be fetched.
    directory
        Whether a download takes the directory from here.
    archive
        Whether it is the whole archive.
    """

    names: frozenset[str] = frozenset()
    directory: bool = False
    archive: bool = False

    @classmethod
    def find(cls, final: Path, directory: Directory, stop: Callable[[], bool]) -> _Here:
        """Inspect the archive of this path, and its tree."""
        with suppress(CollgsError, OSError):  # the download tells why
            if read_members(final, stop=stop).members == directory.members:
                return cls(frozenset(member.name for member in directory.members), directory=True, archive=True)
        with suppress(CollgsError):
            folder = parts_folder(final)
            record = read_record(folder)
            if record and record.read_directory(stop).members == directory.members:
                names = PartsTree(folder).here(record, stop)
                return cls(names, directory=strong_validator(record.remote) is not None)
        return cls()
