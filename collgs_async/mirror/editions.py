"""Keep to the newest edition of each acquisition, also where its editions are found in different runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.ledger.choice_records import OLDER, editions, set_unwanted
from collgs_async.ledger.records import REMOVED
from collgs_async.models.shard import OTHER_SHARD
from collgs_async.selection.baselines import newest_editions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

__all__ = ["choose_newest", "exclude_older"]


def exclude_older(connection: Connection, watch: int, acquisitions: Iterable[int]) -> None:
    """Mark wanted products as older where another edition of their acquisition is newer and listed, too."""
    for acquisition in acquisitions:
        wanted = [edition for edition in editions(connection, watch, acquisition) if edition.unwanted not in OLDER]
        if len(wanted) > 1:
            numbers = {one.product.identifier: one.id for one in wanted if one.unwanted != OTHER_SHARD}
            for product, excluded in newest_editions(edition.product for edition in wanted):
                if excluded is not None and product.identifier in numbers:
                    set_unwanted(connection, watch, numbers[product.identifier], excluded.kind)


def choose_newest(connection: Connection, watch: int, acquisitions: Iterable[int]) -> list[int]:
    """Choose again among the listed editions of acquisitions, as one of them has gone.

    Returns
    -------
    list
        The numbers of those that are wanted again.
    """
    again: list[int] = []
    for acquisition in acquisitions:
        known = {edition.product.identifier: edition for edition in editions(connection, watch, acquisition)}
        for product, excluded in newest_editions(edition.product for edition in known.values()):
            edition = known[product.identifier]
            unwanted = None if excluded is None else excluded.kind
            if edition.unwanted not in (unwanted, REMOVED, OTHER_SHARD):
                set_unwanted(connection, watch, edition.id, unwanted)
                again += [edition.id] if unwanted is None else []
    return again
