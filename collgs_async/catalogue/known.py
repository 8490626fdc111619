"""What a search has met: which entries were handed out, and whether one name stands for two archives."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Entry", "Known", "Twin"]

_SALT: Final = secrets.token_bytes(16)
"""Makes digests that no server can foresee."""


class Entry(Protocol):
    """What is listed: a product, or a collection."""

    @property
    def identifier(self) -> str:
        """Its name."""


class Twin:
    """An entry that has the name of an earlier one, and another archive.

    Attributes
    ----------
    first
        Where the archive of the earlier one is; None when that is not in memory any more.
    """

    def __init__(self, first: str | None) -> None:
        self.first = first


class Known:
    """The entries that were met, as digests: some 150 bytes for each, whatever their names.

    Attributes
    ----------
    loose
        Those that were met on pages which hang together with no page before them (see `paging`).
    surplus
        How many entries there were beside those of a name of their own: repeats on one page, and twins.
    """

    def __init__(self) -> None:
        self._links: dict[int, int] = {}
        self._twins: set[int] = set()
        self._most: dict[int, int] = {}
        self._recent: dict[int, str | None] = {}
        self.loose: set[int] = set()
        self.surplus = 0

    def __len__(self) -> int:
        """How many entries were met, twins included."""
        return len(self._links) + self.surplus

    def __contains__(self, key: int) -> bool:
        return key in self._links

    def linked(self, key: int) -> bool:
        """Tell whether all that stands before this entry, and stood there throughout, has been met."""
        return key in self._links and key not in self.loose

    def keys(self, entries: Sequence[Entry]) -> list[int]:
        """Give the digest of each name."""
        return [_digest(entry.identifier, 16) for entry in entries]

    def take(self, entries: Sequence[Entry], keys: Sequence[int]) -> Iterator[tuple[int, Twin | None]]:
        """Note the entries of a page; give the indices of those that were not met before, and twins.

        The same name with the same link is the same entry. On one page two entries are two, unless all of their links
        is the same; pages apart, the query of a link does not count, for it may be a signature. An entry without a link
        is no other than one that has one: that is given also if it comes later, and stands for both.
        """
        here: dict[int, str | None] = {}
        for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
            url: str | None = getattr(entry, "url", None)
            link = _link(url)
            if key not in self._links or (self._links[key] == 0 and link):
                self._links[key] = link
                yield index, None
            elif not link:
                self._count_without_link(key, here)
            elif self._is_twin(key, url, link, here):
                self.surplus += key not in here  # repeats on one page are counted below
                yield index, Twin(here.get(key, self._recent.get(key)))
            here[key] = here.get(key) or url
        self._recent = here
        self._count_repeats(keys)

    def _is_twin(self, key: int, url: str | None, link: int, here: dict[int, str | None]) -> bool:
        first = here.get(key)
        other = url != first if first else link != self._links[key]
        twin = _digest(f"{key} {url if first else link}", 8)
        if not other or twin in self._twins:
            return False
        self._twins |= {twin, _digest(f"{key} {link}", 8)}
        return True

    def _count_without_link(self, key: int, here: Mapping[int, str | None]) -> None:
        """Count an entry without a link beside one of its name that has one, on another page: it is part of a total."""
        mark = _digest(f"{key} 0", 8)
        if self._links[key] and key not in here and mark not in self._twins:
            self._twins.add(mark)
            self.surplus += 1

    def _count_repeats(self, keys: Sequence[int]) -> None:
        """Count entries that a page holds twice: they are part of a total."""
        if len(set(keys)) == len(keys):
            return
        for key, times in Counter(keys).items():
            most = self._most.get(key, 1)
            if times > most:
                self._most[key] = times
                self.surplus += times - most


def _link(url: str | None) -> int:
    """Make a small digest of where an archive is; 0 where that is not said."""
    if url is None:
        return 0
    parts = urlsplit(url)
    return 1 + _digest(f"{parts.netloc}{parts.path}", 8) % (2**30 - 2)


def _digest(text: str, size: int) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=_SALT).digest()
    return int.from_bytes(digest)
