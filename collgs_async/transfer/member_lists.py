"""List the members of an archive in the store, and which of them are wanted and here."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError, ProductError
from collgs_async.models.member_facts import describe_member
from collgs_async.models.member_list import ArchiveMember, MemberList
from collgs_async.selection.bands import choose_members
from collgs_async.storage.filenames import parts_folder
from collgs_async.storage.member_spans import member_spans
from collgs_async.storage.parts_record import read_record
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.transfer.store_errors import WholeArchivesOnlyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from collgs_async.models.product import Product
    from collgs_async.models.wish import Wish
    from collgs_async.storage.zip_directory import Directory
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
        # Thousands of hostile names take a second.
        return await asyncio.to_thread(
            _list, product, directory, size, self._wish, parts_folder(downloader.path_for(product))
        )

    async def try_read(self, product: Product) -> tuple[Product, MemberList | None]:
        """Return a product with its sizes, and its members; None, with a warning, where these cannot be had.

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
        except ProductError as error:
            log.warning("%s: what of it would be fetched is not known: %s", product.identifier, error)
        else:
            return members.sized_product, members
        return replace(product, wanted=None), None


def _list(product: Product, directory: Directory, size: int, wish: Wish, folder: Path) -> MemberList:
    files = [member for member in directory.members if not member.name.endswith("/")]
    chosen = set(choose_members([member.name for member in files], wish, identifier=product.identifier))
    wanted = [member for member in files if member.name in chosen]
    here = _here(folder, directory)
    members = []
    for member in files:
        facts = describe_member(member.name)
        band, metres = facts.band, facts.resolution
        packed, is_here = member.compressed, member.name in here
        members.append(
            ArchiveMember(member.name, member.uncompressed, packed, band, metres, member.name in chosen, is_here)
        )
    return MemberList(
        product,
        size,
        tuple(members),
        wanted_bytes=member_spans(directory, wanted).total if wish else size,
        here_bytes=member_spans(directory, [member for member in wanted if member.name in here]).total,
        has_wish=bool(wish),
    )


def _here(folder: Path, directory: Directory) -> frozenset[str]:
    """Return the names of members whose files are in the tree, if it is of this version of the archive."""
    try:
        record = read_record(folder)
        if record is None or record.read_directory().members != directory.members:
            return frozenset()
        return PartsTree(folder).here(record)
    except CollgsError:
        return frozenset()  # the download tells why
