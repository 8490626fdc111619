"""How long archives are, as the store tells it: the catalogue usually says nothing."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from collgs_async.errors import TransferError
from collgs_async.storage.verify import describe_non_zip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.http.previews import Answer, PreviewRequester
    from collgs_async.models.product import Product

__all__ = ["Lengths"]

log = logging.getLogger("collgs_async")

_PAGE: Final = 64 * 1024
_WORDS = re.compile(r"\s*(?:text/|application/(?:[\w.-]+\+)?(?:xml|json)\b)", re.IGNORECASE)
"""Types of what is no archive: sign-in forms, refusals."""

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?:0-\d{1,18}|\*)/(\d{1,18})\s*", re.IGNORECASE)


class Lengths:
    """Asks for the length of one archive after the other: by HEAD, and where that does not tell, for one byte.

    Parameters
    ----------
    door
        Asks the store.
    """

    def __init__(self, previews: PreviewRequester) -> None:
        self._previews = previews
        self._heads_tell = True

    async def __call__(self, product: Product) -> Product:
        """Give the product with the size that the store tells, or as it was where that says nothing of use.

        Raises
        ------
        AuthenticationError
            The store asks for a sign-in that is missing or was refused.
        """
        if product.url is None or product.size is not None:
            return product
        try:
            size = await self._by_head(product.url) if self._heads_tell else None
            if size is None:
                size = await self._by_byte(product.url)
        except TransferError as error:
            log.debug("%s: its size is not known: %s", product.identifier, error)
            return product
        return replace(product, size=size)

    async def _by_head(self, url: str) -> int | None:
        try:
            answer = await self._previews.ask(url, method="HEAD", most=0)
        except TransferError:
            return None  # the other way of asking will tell whether it is the store that is in trouble
        is_archive = answer.status == 200 and not _WORDS.match(answer.headers.get("Content-Type", ""))
        return _whole_length(answer) if is_archive else None

    async def _by_byte(self, url: str) -> int | None:
        answer = await self._previews.ask(url, headers={"Range": "bytes=0-0"}, most=_PAGE)
        size: int | None = None
        if answer.status in {206, 416} and (told := _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))):
            size = int(told[1]) or None
        elif answer.status == 200 and describe_non_zip(answer.body) is None:
            size = _whole_length(answer)
        # Where one way of asking tells, and the other does not, the other one need not be tried again.
        self._heads_tell &= size is None
        return size


def _whole_length(answer: Answer) -> int | None:
    """Read the length of an archive that is sent whole; that of compressed bytes is none."""
    headers: Mapping[str, str] = answer.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    text = headers.get("Content-Length", "")
    return int(text) or None if text.isascii() and text.isdigit() and len(text) <= 18 else None
