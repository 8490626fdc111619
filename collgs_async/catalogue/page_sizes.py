"""Find a page size that the server accepts, from its refusals, whatever their wording."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from collgs_async.catalogue.response import AddressTooLongError, PageLimitError
from collgs_async.errors import CatalogueError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from collgs_async.http.requester import CatalogueRequester

__all__ = ["PAGE_SIZE", "CatalogueHints", "PageSizes"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

PAGE_SIZE: Final = 100
"""Default page size in results: GeoServer's default maximum."""

_REFUSALS: Final = frozenset({400, 413, 422, 500})
"""Statuses with which servers refuse a page that is too large."""

_LOCATOR = re.compile(rb'"locator"\s*:\s*"([^"]{1,99})"|"loc"\s*:\s*\[[^\]]{0,99}"([^"\]]{1,99})"\s*\]')
_OF_SIZE = re.compile(r"count|limit|records|results|size|page|rows|number|many|large|maximum|index", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d{1,9}(?![\w.]*\w)")


@dataclass(slots=True)
class CatalogueHints:
    """What searches have learned about a catalogue, shared with later searches.

    Attributes
    ----------
    page_size
        The largest page size to request.
    accepted
        The largest page size known to be accepted; 0 while none is known.
    short_addresses
        Whether the catalogue refused a URL for its length, so that the query's shorter fallbacks are sent.
    warned
        Pairs of collection and parameter for which a warning was shown already.
    """

    page_size: int = PAGE_SIZE
    accepted: int = 0
    short_addresses: bool = False
    warned: set[tuple[str, str]] = field(default_factory=set)


class PageSizes:
    """Requests pages as large as the catalogue accepts.

    The refusal of a page larger than any before may be about its size. Its message may say so; otherwise a page of one
    result decides: if that is refused as well, size is not the cause, and the server's message is raised. None of this
    waits; only a single 500, which may be temporary, is repeated after the usual delay.

    Parameters
    ----------
    url
        The search address.
    hints
        What earlier searches have learned; updated here.
    """

    def __init__(self, requester: CatalogueRequester, url: str, hints: CatalogueHints) -> None:
        self._requester = requester
        self._url = url
        self._hints = hints

    async def ask(
        self, parameters: Mapping[str, str], read: Callable[[int, bytes], T], most: int | None = None
    ) -> tuple[T, int]:
        """Request a page, a smaller one if necessary.

        Parameters
        ----------
        parameters
            The search parameters, without ``count``.
        read
            Parses status and body to a page.
        most
            The most results wanted; None: a full page.

        Returns
        -------
        tuple
            The page, and the number of results requested.

        Raises
        ------
        CatalogueError
            The server's message, where page size is not the cause.
        """
        size = self._hints.page_size if most is None else min(most, self._hints.page_size)
        attempt = _Attempt(self._requester, self._url, parameters, read)
        if size <= self._hints.accepted:
            return await attempt(size), size
        try:
            page = await attempt(size, tries_of_500=2)
        except CatalogueError as error:
            if not attempt.may_be_refused_for_size(error):
                raise
            return await self._smaller(attempt, size, error)
        self._hints.accepted = size
        return page, size

    async def _smaller(self, attempt: _Attempt[T], size: int, refusal: CatalogueError) -> tuple[T, int]:
        """Find a page size that is accepted."""
        single: T | None = None
        for smaller in self._candidates(size, refusal):
            try:
                page = await attempt(smaller, tries_of_500=1)
            except CatalogueError as error:
                if error.status not in _REFUSALS and not isinstance(error, PageLimitError):
                    raise
                if smaller == 1:
                    break
                continue
            if smaller > 1 or size <= 2:
                return page, self._learn(smaller, size)
            single = page
        if single is not None:
            return single, self._learn(1, size)
        if refusal.status != 500:
            raise refusal
        return await attempt(size), size  # whatever the cause is, it may be temporary

    def _candidates(self, size: int, refusal: CatalogueError) -> Iterator[int]:
        """Yield sizes to try: the one in the message, then one, which shows whether size is the cause, then halves."""
        if (named := _named(refusal, below=size)) is not None:
            yield named
        if self._hints.accepted:
            yield from _halves(size, least=self._hints.accepted)
            return
        if size > 1:
            yield 1
        if refusal.status == 500:
            yield size  # the error may have been temporary
        yield from _halves(size, least=2)

    def _learn(self, smaller: int, refused: int) -> int:
        self._hints.accepted = max(self._hints.accepted, smaller)
        if smaller < refused:
            log.debug("the catalogue gives at most %s a page", plural(smaller, "result"))
            self._hints.page_size = smaller
        return smaller


class _Attempt(Generic[T]):
    """Requests one page in different sizes, and keeps details of a refusal beyond its message."""

    def __init__(
        self, requester: CatalogueRequester, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]
    ) -> None:
        self._requester = requester
        self._url = url
        self._parameters = parameters
        self._read = read
        self._locator = ""
        self._left: int | None = None

    async def __call__(self, size: int, *, tries_of_500: int | None = None) -> T:
        """Request a page of this size; `tries_of_500` None: a 500 is retried like any other error."""
        self._left = tries_of_500
        return await self._requester.request(self._url, {**self._parameters, "count": str(size)}, self._watched)

    def _watched(self, status: int, body: bytes) -> T:
        try:
            return self._read(status, body)
        except CatalogueError as error:
            error.status = status
            found = _LOCATOR.search(body[:10_000])
            self._locator = (found[1] or found[2]).decode("utf-8", "replace") if found else ""
            if status == 500 and self._left is not None:
                self._left -= 1
                error.retryable = error.retryable and self._left > 0
            raise

    def may_be_refused_for_size(self, error: CatalogueError) -> bool:
        """Whether a smaller page may be accepted; False when the message is about another parameter."""
        if isinstance(error, PageLimitError):
            return True
        if (
            (isinstance(error, AddressTooLongError) and error.certain)
            or error.status not in _REFUSALS
            or (self._locator and not _OF_SIZE.search(self._locator))
        ):
            return False
        words = str(error)
        values = (value for value in self._parameters.values() if len(value) > 2 and not value.isdigit())
        return bool(_OF_SIZE.search(words)) or not any(value in words for value in values)


def _named(refusal: CatalogueError, *, below: int) -> int | None:
    """Return the size that a refusal names: the largest number in it below the size requested."""
    if isinstance(refusal, PageLimitError) and refusal.maximum < below:
        return refusal.maximum
    words = str(refusal).removeprefix(f"the catalogue answered HTTP {refusal.status}: ")
    return max((number for text in _NUMBER.findall(words) if 0 < (number := int(text)) < below), default=None)


def _halves(size: int, *, least: int) -> Iterator[int]:
    while size > least:
        size = max(least, size // 2)
        yield size
