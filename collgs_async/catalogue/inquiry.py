"""One question to the catalogue, asked again where that can help."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import CatalogueError
from collgs_async.links import with_parameters
from collgs_async.patience import LONGEST_WAIT, Endurance, persisting, retry_after
from collgs_async.timing import Timing
from collgs_async.transport import NETWORK_ERRORS, describe, is_away
from collgs_async.units import format_duration
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

LARGE: Final = 2**20
"""Bytes of an answer that is read in a thread; a hundred results take about 0.4 MB."""

_AWAY: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that are the trouble of the whole catalogue; a 500 may be about what was asked, such as too late a page."""

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
    outage
        Seconds for which a catalogue that has answered before may be away before it is given up; 0: no longer than for
        its tries.
    sleep
        The way to wait between tries, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        retries: int,
        *,
        outage: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._retries = retries
        self._outage = outage
        self._timing = Timing(sleep)
        self._has_answered = False

    async def ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        """Ask, and give what `read` makes of status and body.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or `read` can make nothing of its answer.
        """
        # One that has never answered is rather a wrong address.
        patience = Endurance(self._retries, self._outage if self._has_answered else 0.0, _is_away, self._timing.now)
        answer = await persisting(
            lambda: self._ask(url, parameters, read),
            patience,
            worth_it=lambda error: isinstance(error, CatalogueError) and error.retryable,
            before_sleep=lambda state: _announce(state, patience),
            sleep=self._timing.sleep,
        )
        self._has_answered = True
        if patience.waited:
            log.warning("the catalogue answers again after %s: going on", format_duration(round(patience.waited)))
        return answer

    async def _ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        visit = self._authenticator.visit()
        while True:
            try:
                async with self._transport.get(url, params=parameters, decompress=True, fresh=True) as response:
                    body, whole = await self._transport.page(response, LARGEST_ANSWER)
            except NETWORK_ERRORS as error:
                failure = CatalogueError(f"the catalogue at {url}: {describe(error)}", retryable=True)
                failure.away = is_away(error)
                raise failure from error
            if not (looks_like_html(body) and asks_to_sign_in(body)):
                break
            await visit.sign_in(with_parameters(url, parameters))
        if not whole:
            raise CatalogueError(f"the catalogue's answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        try:
            # A large page would keep the loop from all else, signals among it.
            return (
                await asyncio.to_thread(read, response.status, body)
                if len(body) > LARGE
                else read(response.status, body)
            )
        except CatalogueError as error:
            error.retry_after = retry_after(response.headers)
            error.away = error.retryable and (response.status in _AWAY or looks_like_html(body))
            if (error.retry_after or 0) > max(LONGEST_WAIT, self._outage):
                error.retryable = False
            raise


def _is_away(error: BaseException | None) -> bool:
    return isinstance(error, CatalogueError) and error.away


def _announce(state: RetryCallState, patience: Endurance) -> None:
    error = state.outcome.exception() if state.outcome else None
    if not patience.is_spent:
        log.warning("%s; asking again in %.1f s", error, state.upcoming_sleep)
    elif patience.begins_to_wait:
        log.warning("%s; the catalogue is asked again for up to %s", error, format_duration(round(patience.left)))
    else:
        log.debug("%s; asking again in %.1f s", error, state.upcoming_sleep)
