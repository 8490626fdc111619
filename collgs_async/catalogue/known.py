"""Record the entries a search has read, and detect when one name stands for two archives."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["Entry", "Known", "Twin"]

_SALT: Final = secrets.token_bytes(16)
"""Makes the digests unpredictable for servers."""

_BITS: Final = 30

_SIGNATURES: Final = ("x-amz-", "x-goog-", "x-oss-", "x-obs-", "x-cos-")
_SIGNATURE: Final = frozenset(
    {"sig", "se", "st", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv"}  # Azure
    | {"signature", "expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid"}
    | {"hdnea", "hdnts", "exp", "hmac", "token", "access_token", "auth", "auth_key", "nonce", "timestamp"}
)
"""Parameters of signed links (S3, CloudFront, Azure, Google, OSS, Akamai), which differ in each response."""


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
    barren
        Lists in a row behind whose short last page nothing was found (see `paging`).
    """

    def __init__(self) -> None:
        self._links: dict[int, int] = {}
        self._twins: set[int] = set()
        self._most: dict[int, int] = {}
        self._recent: dict[int, str | None] = {}
        self._queries_change = False
        self.loose: set[int] = set()
        self.surplus = self.barren = 0

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

    def take(
        self, entries: Sequence[Entry], keys: Sequence[int], overlap: int = 0, repeated: Collection[int] = ()
    ) -> Iterator[tuple[int, Twin | None]]:
        """Record the entries of a page; yield the indices of new entries and of twins.

        The same name with the same link is the same entry. Two entries on one page count as two, unless all of their
        links are equal. Across pages the query string of a link is ignored, since it may be a signature; but where a
        name has two positions, it is compared without the parameters of signatures, unless it is known to change. An
        entry without a link matches one that has a link; the linked one is yielded even if it comes later, and stands
        for both.

        Parameters
        ----------
        overlap
            How many entries at the beginning of the page have the same positions as on an earlier page.
        repeated
            The indices of entries whose name has another position, too.
        """
        here: dict[int, str | None] = {}
        for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
            url: str | None = getattr(entry, "url", None)
            link = _link(url)
            if index < overlap and link and self._links.get(key, 0) >> _BITS == link >> _BITS:
                self._queries_change |= self._links[key] != link
            if key not in self._links or (self._links[key] == 0 and link):
                self._links[key] = link
                yield index, None
            elif not link:
                self._count_without_link(key, here)
            elif self._is_twin(key, url, link, here, apart=index in repeated):
                self.surplus += key not in here  # repeats on one page are counted below
                yield index, Twin(here.get(key, self._recent.get(key)))
            here[key] = here.get(key) or url
        self._recent = here
        self._count_repeats(keys)

    def _is_twin(self, key: int, url: str | None, link: int, here: Mapping[int, str | None], *, apart: bool) -> bool:
        address = link >> _BITS
        if first := here.get(key):
            other, mark = url != first, f"{key} {url}"
        elif apart and not self._queries_change:
            other, mark = link != self._links[key], f"{key} {link}"
        else:
            other, mark = address != self._links[key] >> _BITS, f"{key} {address}"
        if not other or _digest(mark, 8) in self._twins:
            return False
        self._twins |= {_digest(f"{key} {one}", 8) for one in (url, link, address)}
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
    """Return short digests of an archive's URL: of host and path, then of its query without a signature.

    It is 0 without a URL.
    """
    if url is None:
        return 0
    parts = urlsplit(url)
    address = 1 + _digest(f"{parts.netloc}{parts.path}", 8) % ((1 << _BITS) - 2)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not _is_signature(name)]
    return (address << _BITS) + (_digest(repr(query), 8) % (1 << _BITS) if query else 0)


def _is_signature(name: str) -> bool:
    return name.lower() in _SIGNATURE or name.lower().startswith(_SIGNATURES)


def _digest(text: str, size: int) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=_SALT).digest()
    return int.from_bytes(digest)
