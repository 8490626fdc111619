"""The stores of a run: each host that hands out archives has its own gate and its own trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.transfer.outage import Store

__all__ = ["Stores"]

_MOST: Final = 256
"""Stores that are remembered when nothing is being brought from them."""


class Stores:
    """All stores of a run, by the hosts of their URLs.

    Parameters
    ----------
    make
        Makes a store of that name.
    """

    def __init__(self, make: Callable[[str], Store]) -> None:
        self._make = make
        self._stores: dict[str, Store] = {}

    def of(self, url: str) -> Store:
        """Give the store that a URL leads to."""
        name = urlsplit(url).netloc.rpartition("@")[2].lower()
        if (store := self._stores.get(name)) is None:
            if len(self._stores) >= _MOST:
                self._stores = {name: store for name, store in self._stores.items() if not store.idle}
            store = self._stores[name] = self._make(name)
        return store
