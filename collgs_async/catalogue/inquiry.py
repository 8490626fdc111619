"""One question to the catalogue, asked again where that can help."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import CatalogueError
from collgs_async.links import with_parameters
from collgs_async.patience import LONGEST_WAIT, Patience, persisting, retry_after
from collgs_async.transport import NETWORK_ERRORS, describe
from collgs_async.words import asks_to_sign_in, looks_like_html

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tenacity import RetryCallState

    from collgs_async.auth import Authenticator
    from collgs_async.transport import Transport

__all__ = ["Inquiry"]

log = logging.getLogger("collgs_async")

LARGEST_ANSWER: Final = 32 * 2**20
"""Bytes of an answer after which we stop reading; a hundred results take about 0.4 MB."""

T = TypeVar("T")


class Inquiry:
    """Asks the catalogue, patiently, and after a sign-in should it want one.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in.
    retries
        Tries in a row before it is given up.
    sleep
        The way to wait between tries, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        retries: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._retries = retries
        self._sleep = sleep

    async def ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        """Ask, and give what `read` makes of status and body.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or `read` can make nothing of its answer.
        """
        return await persisting(
            lambda: self._ask(url, parameters, read),
            Patience(self._retries),
            worth_it=lambda error: isinstance(error, CatalogueError) and error.retryable,
            before_sleep=_announce,
            sleep=self._sleep,
        )

    async def _ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        visit = self._authenticator.visit()
        while True:
            try:
                async with self._transport.get(url, params=parameters, decompress=True, fresh=True) as response:
                    body, whole = await self._transport.page(response, LARGEST_ANSWER)
            except NETWORK_ERRORS as error:
                raise CatalogueError(f"the catalogue at {url}: {describe(error)}", retryable=True) from error
            if not (looks_like_html(body) and asks_to_sign_in(body)):
                break
            await visit.sign_in(with_parameters(url, parameters))
        if not whole:
            raise CatalogueError(f"the catalogue's answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        try:
            return read(response.status, body)
        except CatalogueError as error:
            error.retry_after = retry_after(response.headers)
            if (error.retry_after or 0) > LONGEST_WAIT:
                error.retryable = False
            raise


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s; asking again in %.1f s", error, state.upcoming_sleep)
