"""Make requests to the catalogue, with retries and login."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import CatalogueError
from collgs_async.http.body_reading import NETWORK_ERRORS
from collgs_async.http.links import with_parameters
from collgs_async.http.messages import is_html, is_login_page
from collgs_async.http.retry import MAX_RETRY_AFTER, Endurance, parse_retry_after, retry_call
from collgs_async.http.session import describe_error, is_away
from collgs_async.models.text import format_duration
from collgs_async.models.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tenacity import RetryCallState

    from collgs_async.http.auth import Authenticator
    from collgs_async.http.session import HttpSession

__all__ = ["Requester"]

log = logging.getLogger("collgs_async")

LARGEST_ANSWER: Final = 32 * 2**20
"""Maximum size of a response in bytes; a hundred results take about 0.4 MB."""

LARGE: Final = 2**20
"""Size in bytes from which a response is parsed in a thread; a hundred results take about 0.4 MB."""

_AWAY: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that indicate an outage of the catalogue; a 500 may be caused by the request, such as too late a page."""

T = TypeVar("T")


class Requester:
    """Makes requests to the catalogue, with retries, and after a login if it requires one.

    Parameters
    ----------
    retries
        Consecutive attempts before a request fails.
    outage
        Seconds to wait further during an outage, for a catalogue that has responded before; 0 not to wait.
    sleep
        Waits so many seconds between attempts.
    """

    def __init__(
        self,
        session: HttpSession,
        authenticator: Authenticator,
        retries: int,
        *,
        outage: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._authenticator = authenticator
        self._retries = retries
        self._outage = outage
        self._timing = Timing(sleep)
        self._has_answered = False

    async def request(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        """Make a request, and return what `read` returns for its status and body.

        Raises
        ------
        CatalogueError
            The request failed, or `read` could not parse the response.
        """
        # A catalogue that has never responded more likely has a wrong address than an outage.
        retry = Endurance(self._retries, self._outage if self._has_answered else 0.0, _is_away, self._timing.now)
        answer = await retry_call(
            lambda: self._ask(url, parameters, read),
            retry,
            worth_it=lambda error: isinstance(error, CatalogueError) and error.retryable,
            before_sleep=lambda state: _announce(state, retry),
            sleep=self._timing.sleep,
        )
        self._has_answered = True
        if retry.waited:
            log.warning("the catalogue answers again after %s: going on", format_duration(round(retry.waited)))
        return answer

    async def _ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        attempt = self._authenticator.begin_attempt()
        while True:
            try:
                async with self._session.get(url, params=parameters, decompress=True, fresh=True) as response:
                    body, whole = await self._session.page(response, LARGEST_ANSWER)
            except NETWORK_ERRORS as error:
                failure = CatalogueError(f"the catalogue at {url}: {describe_error(error)}", retryable=True)
                failure.away = is_away(error)
                raise failure from error
            if not is_login_page(body):
                break
            await attempt.sign_in(with_parameters(url, parameters))
        if not whole:
            raise CatalogueError(f"the catalogue's answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        try:
            # Parsing a large page would block the event loop, and with it the handling of signals.
            return (
                await asyncio.to_thread(read, response.status, body)
                if len(body) > LARGE
                else read(response.status, body)
            )
        except CatalogueError as error:
            error.retry_after = parse_retry_after(response.headers)
            error.away = error.retryable and (response.status in _AWAY or is_html(body))
            if (error.retry_after or 0) > max(MAX_RETRY_AFTER, self._outage):
                error.retryable = False
            raise


def _is_away(error: BaseException | None) -> bool:
    return isinstance(error, CatalogueError) and error.away


def _announce(state: RetryCallState, retry: Endurance) -> None:
    error = state.outcome.exception() if state.outcome else None
    if not retry.is_spent:
        log.warning("%s; asking again in %.1f s", error, state.upcoming_sleep)
    elif retry.begins_to_wait:
        log.warning("%s; the catalogue is asked again for up to %s", error, format_duration(round(retry.left)))
    else:
        log.debug("%s; asking again in %.1f s", error, state.upcoming_sleep)
