"""The stores of a run, one for each host that serves archives; each has its own limiter and outage state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.transfer.store import Store

__all__ = ["Stores"]

_MAX_STORES: Final = 256
"""Number of stores from which the idle ones are dropped, so that the table cannot grow without bound."""


class Stores:
    """All stores of a run, by the host of a URL.

    Parameters
    ----------
    make
        Creates the store for a host name.
    """

    def __init__(self, make: Callable[[str], Store]) -> None:
        self._make = make
        self._stores: dict[str, Store] = {}

    def of(self, url: str) -> Store:
        """Return the store of a URL's host."""
        name = urlsplit(url).netloc.rpartition("@")[2].lower()
        if (store := self._stores.get(name)) is None:
            if len(self._stores) >= _MAX_STORES:
                self._stores = {name: store for name, store in self._stores.items() if not store.idle}
            store = self._stores[name] = self._make(name)
        return store
