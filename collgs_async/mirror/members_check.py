"""Compare which members of archives are wanted with those that are here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError
from collgs_async.ledger.due_records import partial_products, set_wanted
from collgs_async.transfer.action import Action

if TYPE_CHECKING:
    from collgs_async.client import Client
    from collgs_async.ledger.ledger import Ledger

__all__ = ["want_missing_members"]

_AT_ONCE = 100


async def want_missing_members(ledger: Ledger, client: Client, watch: int) -> None:
    """Mark listed products as wanted whose folder with members lacks some of those that the settings ask for.

    The ledger does not know which members are here: other ones may be asked for than in the runs before, or all of
    the archive, and a user may have removed some. The folder tells, without a request.
    """
    after = 0
    while products := await ledger.run(partial_products, watch, after, _AT_ONCE):
        after = products[-1][0]
        lacking = []
        for number, product in products:
            with suppress(CollgsError, OSError):  # what cannot be read is for the download to tell
                if await client.local_state(product) is Action.SKIP:
                    continue
            lacking.append(number)
        await ledger.run(set_wanted, lacking)
