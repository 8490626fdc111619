"""Determine from the store which version of an archive it has, and how large it is: catalogues rarely list sizes."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from collgs_async.errors import NotAvailableError, TransferError
from collgs_async.http.messages import error_text
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.verify import describe_non_zip
from collgs_async.transfer.range_request import CONTENT_RANGE, content_length

if TYPE_CHECKING:
    from collgs_async.http.requester import SmallResponse, StoreRequester
    from collgs_async.models.product import Product

__all__ = ["ArchiveSizes", "GoneError"]

log = logging.getLogger("collgs_async")

_PAGE: Final = 64 * 1024
_WORDS = re.compile(r"\s*(?:text/|application/(?:[\w.-]+\+)?(?:xml|json)\b)", re.IGNORECASE)
"""Content types of responses that are not archives, such as login forms and error pages."""


_GONE: Final = frozenset({404, 410})


class GoneError(NotAvailableError):
    """The store does not have an archive, or has it no more."""


class ArchiveSizes:
    """Determines the version of one archive after the other: by HEAD, else by a range request for one byte."""

    def __init__(self, requester: StoreRequester) -> None:
        self._requester = requester
        self._try_head = True

    async def __call__(self, product: Product) -> Product:
        """Return the product with the size that the store reports, or unchanged if it reports none.

        Raises
        ------
        AuthenticationError
            The store requires a login, and credentials are missing or were refused.
        """
        if product.url is None or product.size is not None:
            return product
        try:
            found = await self.version(product.url)
        except (TransferError, GoneError) as error:
            log.debug("%s: its size is not known: %s", product.identifier, error)
            return product
        return replace(product, size=found.size if found else None)

    async def version(self, url: str) -> RemoteVersion | None:
        """Return the version of an archive, with its size; None if the store's answer is no archive, or has no length.

        Raises
        ------
        GoneError
            The store does not have it.
        NotAvailableError, TransferError
            The connection or the server failed, for good or for now.
        AuthenticationError
            The store requires a login, and credentials are missing or were refused.
        """
        found = await self._by_head(url) if self._try_head else None
        if found is None:
            found = await self.served_version(url)
            # The range request has worked where HEAD did not, so HEAD need not be tried for the next archives.
            self._try_head &= found is None
        return found

    async def served_version(self, url: str) -> RemoteVersion | None:
        """Return the version of an archive as a download is told it, whose validators may be others than those of HEAD.

        Returns None, and raises, as `version` does.
        """
        answer = await self._requester.request(url, headers={"Range": "bytes=0-0"}, limit=_PAGE)
        size: int | None = None
        if answer.status in _GONE:
            raise GoneError(f"HTTP {answer.status}: {error_text(answer.body) or 'no reason given'}")
        if answer.status in {206, 416}:
            span = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if span and span[1] in {None, "0"} and span[3] != "*":
                size = int(span[3]) or None
        elif answer.status == 200 and describe_non_zip(answer.body) is None:
            size = _whole_length(answer)
        return _version(url, answer, size)

    async def _by_head(self, url: str) -> RemoteVersion | None:
        try:
            answer = await self._requester.request(url, method="HEAD", limit=0)
        except TransferError:
            return None  # the range request will show whether the store itself is unavailable
        is_archive = answer.status == 200 and not _WORDS.match(answer.headers.get("Content-Type", ""))
        return _version(url, answer, _whole_length(answer)) if is_archive else None


def _version(url: str, answer: SmallResponse, size: int | None) -> RemoteVersion | None:
    if size is None:
        return None
    return RemoteVersion(url, size, *(answer.headers.get(name) for name in ("ETag", "Last-Modified", "Date")))


def _whole_length(answer: SmallResponse) -> int | None:
    """Return Content-Length of a complete response; None with a Content-Encoding, whose length is another one."""
    is_encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    return None if is_encoded else content_length(answer.headers) or None
