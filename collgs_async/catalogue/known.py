"""Record the entries a search has read, and detect when one name stands for two archives."""

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
"""Makes the digests unpredictable for servers."""


class Entry(Protocol):
    """An entry of a list: a product, or a collection."""

    @property
    def identifier(self) -> str:
        """Its name."""


class Twin:
    """Marks an entry with the name of an earlier one, but another archive.

    Attributes
    ----------
    first
        The URL of the earlier archive; None when it is no longer in memory.
    """

    def __init__(self, first: str | None) -> None:
        self.first = first


class Known:
    """The entries read so far, as digests of about 150 bytes each, whatever their names.

    Attributes
    ----------
    loose
        Entries of pages that do not overlap with any page before them (see `paging`).
    surplus
        Entries counted beyond one per name: repeats on one page, and twins.
    """

    def __init__(self) -> None:
        self._links: dict[int, int] = {}
        self._twins: set[int] = set()
        self._most: dict[int, int] = {}
        self._recent: dict[int, str | None] = {}
        self.loose: set[int] = set()
        self.surplus = 0

    def __len__(self) -> int:
        """Return the number of entries, twins included."""
        return len(self._links) + self.surplus

    def __contains__(self, key: int) -> bool:
        return key in self._links

    def linked(self, key: int) -> bool:
        """Whether all entries before this one, as far as they stayed in place, have been read."""
        return key in self._links and key not in self.loose

    def keys(self, entries: Sequence[Entry]) -> list[int]:
        """Return the digest of each name."""
        return [_digest(entry.identifier, 16) for entry in entries]

    def take(self, entries: Sequence[Entry], keys: Sequence[int]) -> Iterator[tuple[int, Twin | None]]:
        """Record the entries of a page; yield the indices of new entries and of twins.

        The same name with the same link is the same entry. Two entries on one page count as two, unless all of their
        links are equal; across pages the query string of a link is ignored, since it may be a signature. An entry
        without a link matches one that has a link; the linked one is yielded even if it comes later, and stands for
        both.
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
        """Count an entry without a link whose name has one on another page, since it is part of the total."""
        mark = _digest(f"{key} 0", 8)
        if self._links[key] and key not in here and mark not in self._twins:
            self._twins.add(mark)
            self.surplus += 1

    def _count_repeats(self, keys: Sequence[int]) -> None:
        """Count entries that a page holds twice, since they are part of the total."""
        if len(set(keys)) == len(keys):
            return
        for key, times in Counter(keys).items():
            most = self._most.get(key, 1)
            if times > most:
                self._most[key] = times
                self.surplus += times - most


def _link(url: str | None) -> int:
    """Return a short digest of an archive's URL; 0 without one."""
    if url is None:
        return 0
    parts = urlsplit(url)
    return 1 + _digest(f"{parts.netloc}{parts.path}", 8) % (2**30 - 2)


def _digest(text: str, size: int) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=_SALT).digest()
    return int.from_bytes(digest)
