"""Fetch the quicklooks of products: small preview images, each of which may fail without consequences."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, TransferError
from collgs_async.http.messages import error_text
from collgs_async.models.images import image_type

if TYPE_CHECKING:
    from collgs_async.http.requester import StoreRequester
    from collgs_async.models.product import Product

__all__ = ["Picture", "Pictures"]

log = logging.getLogger("collgs_async")

MAX_SECONDS: Final = 30.0
"""Seconds for one picture, retries included; a preview is not worth a longer wait."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A preview image.

    Attributes
    ----------
    data
        Content of the image file.
    suffix
        File name suffix, determined from the first bytes.
    """

    data: bytes
    suffix: str


class Pictures:
    """Fetches previews.

    Parameters
    ----------
    largest
        Maximum size of a picture, in bytes.
    seconds
        Seconds for one picture, retries included.
    """

    def __init__(self, requester: StoreRequester, *, largest: int, seconds: float = MAX_SECONDS) -> None:
        self._requester = requester
        self._largest = largest
        self._seconds = seconds

    async def __call__(self, product: Product) -> Picture | None:
        """Fetch the preview of a product; return None if there is none, or if it cannot be fetched."""
        if product.quicklook is None:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                return await self._fetch(product.quicklook)
        except TimeoutError:
            problem = f"it did not arrive within {self._seconds:g} s"
        except (AuthenticationError, TransferError) as error:
            problem = str(error)
        log.debug("%s: no quicklook: %s", product.identifier, problem)
        return None

    async def _fetch(self, url: str) -> Picture:
        answer = await self._requester.request(url, limit=self._largest)
        if answer.status != 200:
            raise TransferError(f"HTTP {answer.status}: {error_text(answer.body) or 'no reason given'}")
        if not answer.whole:
            raise TransferError(f"it is larger than {self._largest} bytes")
        kind = image_type(answer.body)
        if kind is None:
            raise TransferError("it is no JPEG, PNG, GIF or WebP")
        return Picture(answer.body, kind.suffix)
