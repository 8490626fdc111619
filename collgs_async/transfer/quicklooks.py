"""Previews of scenes: small pictures, each of which may fail without harm."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, TransferError
from collgs_async.http.messages import error_text

if TYPE_CHECKING:
    from collgs_async.http.previews import PreviewRequester
    from collgs_async.models.product import Product

__all__ = ["SUFFIXES", "Picture", "Pictures"]

log = logging.getLogger("collgs_async")

PATIENCE: Final = 30.0
"""Seconds for one picture, tries included: nobody waits for a preview longer than that."""

_KINDS: Final = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".webp"),
)


SUFFIXES: Final = tuple(suffix for _, suffix in _KINDS)
"""All that a picture's name may end with."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A preview.

    Attributes
    ----------
    data
        The file.
    suffix
        What its name ends with, by its first bytes: catalogues call everything JPEG.
    """

    data: bytes
    suffix: str


class Pictures:
    """Fetches previews.

    Parameters
    ----------
    door
        Asks for them.
    largest
        Bytes of a picture that is taken.
    patience
        Seconds for one picture, tries included.
    """

    def __init__(self, previews: PreviewRequester, *, largest: int, retry: float = PATIENCE) -> None:
        self._previews = previews
        self._largest = largest
        self._retry = retry

    async def __call__(self, product: Product) -> Picture | None:
        """Fetch the preview of a product; None when there is none, or it cannot be had."""
        if product.quicklook is None:
            return None
        try:
            async with asyncio.timeout(self._retry):
                return await self._fetch(product.quicklook)
        except TimeoutError:
            problem = f"it did not arrive within {self._retry:g} s"
        except (AuthenticationError, TransferError) as error:
            problem = str(error)
        log.debug("%s: no quicklook: %s", product.identifier, problem)
        return None

    async def _fetch(self, url: str) -> Picture:
        answer = await self._previews.ask(url, most=self._largest)
        if answer.status != 200:
            raise TransferError(f"HTTP {answer.status}: {error_text(answer.body) or 'no reason given'}")
        if not answer.whole:
            raise TransferError(f"it is larger than {self._largest} bytes")
        suffix = next((suffix for beginning, suffix in _KINDS if answer.body.startswith(beginning)), None)
        if suffix is None:
            raise TransferError("it is no JPEG, PNG, GIF or WebP")
        return Picture(answer.body, suffix)
