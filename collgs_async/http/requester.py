"""Make small requests, with retries and login: to the catalogue, and to the store for previews and sizes.

Both are made in one way, that of `Requester`. What differs:

==================  ========================================  =============================================
                    catalogue                                 store
==================  ========================================  =============================================
connection          a new one for each request                reused
concurrency         not limited                               as many requests as the store accepts
body                may be compressed; an error above 32 MiB  not compressed; read up to the caller's limit
lost login cookies  lead to another login                     are put back first
result              what the caller reads in the response     any response but a temporary failure
error               `CatalogueError`                          `TransferError`
retried             what is `retryable`, also by the caller   network errors, rejections, server errors
after all retries   waits for the end of an outage            fails
log level           warning                                   debug
==================  ========================================  =============================================
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from collgs_async.errors import CatalogueError, CollgsError, NotAvailableError, ProductError, TransferError
from collgs_async.http.limits import ConcurrencyLimiter
from collgs_async.http.links import with_parameters
from collgs_async.http.login_page import is_login_page
from collgs_async.http.messages import error_text, is_html, is_rate_limit_text
from collgs_async.http.network_errors import NETWORK_ERRORS, describe_error, is_away, is_permanent
from collgs_async.http.retry import MAX_RETRY_AFTER, OutageRetryPolicy, RetryPolicy, parse_retry_after, retry_call
from collgs_async.models.text import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tenacity import RetryCallState

    from collgs_async.http.session import Session

__all__ = ["CatalogueRequester", "Requester", "SmallResponse", "StoreRequester"]

log = logging.getLogger("collgs_async")

LARGEST_ANSWER: Final = 32 * 2**20
"""Maximum size of a catalogue's response in bytes; a hundred results take about 0.4 MB."""

LARGE: Final = 2**20
"""Size in bytes from which a response is parsed in a thread; a hundred results take about 0.4 MB."""

_AWAY: Final = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses that indicate an outage of the catalogue; a 500 may be caused by the request, such as too late a page."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SmallResponse:
    """A response, read completely or up to a limit.

    Attributes
    ----------
    body
        The body, or its beginning.
    whole
        Whether `body` is the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


class Requester(ABC):
    """Makes small requests to a server, and logs in if it requires that."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def _attempt(
        self,
        url: str,
        limit: int,
        *,
        params: Mapping[str, str] | None = None,
        restores_cookies: bool = False,
        **options: Any,
    ) -> SmallResponse:
        """Make a request, and repeat it after a login if the response is a login page.

        Parameters
        ----------
        limit
            Maximum bytes of the body that are read.
        restores_cookies
            Whether a login page first puts the login's cookies back if another response has replaced them.
        params, options
            Further arguments of `HttpSession.get`.
        """
        attempt = self._session.auth.begin_attempt()
        if restores_cookies:
            options["beginning"] = attempt.on_request
        while True:
            answer = await self._send(url, limit, params=params, **options)
            if not is_login_page(answer.body):
                return answer
            await attempt.sign_in(with_parameters(url, params or {}))

    async def _send(self, url: str, limit: int, **options: Any) -> SmallResponse:
        http = self._session.http
        try:
            async with http.get(url, **options) as response:
                body, whole = await http.page(response, limit)
        except NETWORK_ERRORS as error:
            raise self._failure(url, error) from error
        return SmallResponse(response.status, response.headers, body, whole)

    @abstractmethod
    def _failure(self, url: str, error: BaseException) -> CollgsError:
        """Return the error for a request that failed without a response."""


class CatalogueRequester(Requester):
    """Makes requests to the catalogue.

    Parameters
    ----------
    outage
        Seconds to wait further during an outage, for a catalogue that has responded before; 0 not to wait.
    """

    def __init__(self, session: Session, *, outage: float = 0.0) -> None:
        super().__init__(session)
        self._outage = outage
        self._has_answered = False

    async def request(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        """Make a request, and return what `read` returns for its status and body.

        Raises
        ------
        CatalogueError
            The request failed, or `read` could not parse the response.
        """
        # A catalogue that has never responded more likely has a wrong address than an outage.
        outage, timing = self._outage if self._has_answered else 0.0, self._session.timing
        retry = OutageRetryPolicy(self._session.retries, outage, _is_catalogue_away, timing.now)
        answer = await retry_call(
            lambda: self._ask(url, parameters, read),
            retry,
            worth_it=lambda error: isinstance(error, CatalogueError) and error.retryable,
            before_sleep=partial(_announce, retry),
            sleep=timing.sleep,
        )
        self._has_answered = True
        if retry.waited:
            log.warning("the catalogue answers again after %s: going on", format_duration(round(retry.waited)))
        return answer

    async def _ask(self, url: str, parameters: Mapping[str, str], read: Callable[[int, bytes], T]) -> T:
        answer = await self._attempt(url, LARGEST_ANSWER, params=parameters, decompress=True, fresh=True)
        if not answer.whole:
            raise CatalogueError(f"the catalogue's answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        status, body = answer.status, answer.body
        try:
            # Parsing a large page would block the event loop, and with it the handling of signals.
            return await asyncio.to_thread(read, status, body) if len(body) > LARGE else read(status, body)
        except CatalogueError as error:
            if status == HTTPStatus.NOT_FOUND and not self._has_answered:
                error.args = (f"{error}; is {url} the right address (--base-url)?",)
            error.retry_after = parse_retry_after(answer.headers)
            error.away = error.retryable and (status in _AWAY or is_html(body))
            if (error.retry_after or 0) > max(MAX_RETRY_AFTER, self._outage):
                error.retryable = False
            raise

    def _failure(self, url: str, error: BaseException) -> CatalogueError:
        again = self._has_answered or not is_permanent(error)
        failure = CatalogueError(f"the catalogue at {url}: {describe_error(error)}", retryable=again)
        failure.away = again and is_away(error)
        return failure


class StoreRequester(Requester):
    """Makes small requests to the store, through one concurrency limiter.

    Parameters
    ----------
    workers
        Maximum number of concurrent requests.
    """

    def __init__(self, session: Session, *, workers: int) -> None:
        super().__init__(session)
        self._limiter = ConcurrencyLimiter(workers, sleep=session.timing.sleep)

    async def request(
        self, url: str, *, method: Literal["GET", "HEAD"] = "GET", headers: Mapping[str, str] | None = None, limit: int
    ) -> SmallResponse:
        """Make a request, retrying temporary failures, and return the response whatever its status.

        Parameters
        ----------
        limit
            Maximum bytes of the body that are read.

        Raises
        ------
        TransferError
            The connection or the server failed.
        AuthenticationError
            The store requires a login, and credentials are missing or were refused.
        """
        return await retry_call(
            lambda: self._attempt(url, limit, method=method, headers=headers, restores_cookies=True),
            RetryPolicy(self._session.retries),
            worth_it=lambda error: isinstance(error, TransferError) and (error.retry_after or 0) <= MAX_RETRY_AFTER,
            before_sleep=partial(_log_retry, logging.DEBUG),
            sleep=self._session.timing.sleep,
        )

    async def _send(self, url: str, limit: int, **options: Any) -> SmallResponse:
        async with self._limiter.slot() as started:
            answer = await super()._send(url, limit, **options)
            self._raise_if_temporary(answer, started)
        return answer

    def _failure(self, _: str, error: BaseException) -> ProductError:
        return (NotAvailableError if is_permanent(error) else TransferError)(describe_error(error))

    def _raise_if_temporary(self, answer: SmallResponse, started: float) -> None:
        """Raise TransferError for a temporary failure: a server error, or a rejection by status or message."""
        words = error_text(answer.body) if answer.status >= 400 or answer.body.lstrip()[:1] in {b"<", b"{"} else ""
        is_busy = answer.status in {429, 503} or is_rate_limit_text(words)
        if not is_busy and answer.status < 500:
            self._limiter.record_success()
        if not is_busy and (answer.status < 500 or answer.status in {501, 505}):
            return
        wait = parse_retry_after(answer.headers)
        if is_busy and (wait or 0) <= MAX_RETRY_AFTER:
            self._limiter.record_rejection(started, wait)
        raise TransferError(f"HTTP {answer.status}: {words or 'no reason given'}", retry_after=wait)


def _is_catalogue_away(error: BaseException | None) -> bool:
    return isinstance(error, CatalogueError) and error.away


def _announce(retry: OutageRetryPolicy, state: RetryCallState) -> None:
    """Log the next attempt at the catalogue; the wait for the end of an outage is announced only once."""
    if retry.begins_to_wait:
        error, left = _error_of(state), format_duration(round(retry.left))
        log.warning("%s; the catalogue is asked again for up to %s", error, left)
    else:
        _log_retry(logging.DEBUG if retry.is_spent else logging.WARNING, state)


def _log_retry(level: int, state: RetryCallState) -> None:
    log.log(level, "%s; asking again in %.1f s", _error_of(state), state.upcoming_sleep)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
