"""Make small requests to the store, for previews and sizes: limited in number, with retries and login."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from collgs_async.errors import TransferError
from collgs_async.http.body_reading import NETWORK_ERRORS
from collgs_async.http.limits import ConcurrencyLimiter
from collgs_async.http.messages import error_text, is_login_page, is_rate_limit_text
from collgs_async.http.retry import MAX_RETRY_AFTER, RetryPolicy, parse_retry_after, retry_call
from collgs_async.http.session import describe_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tenacity import RetryCallState

    from collgs_async.http.auth import Authenticator
    from collgs_async.http.session import HttpSession

__all__ = ["Answer", "PreviewRequester"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class Answer:
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


class PreviewRequester:
    """Makes small requests to the store, through one concurrency limiter.

    Parameters
    ----------
    workers
        Maximum number of concurrent requests.
    retries
        Attempts of one request before it fails.
    sleep
        Waits so many seconds between attempts.

    Attributes
    ----------
    taken_ahead
        The number of products whose previews are requested ahead of the one that is needed.
    """

    def __init__(
        self,
        session: HttpSession,
        authenticator: Authenticator,
        *,
        workers: int,
        retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.taken_ahead = 2 * workers
        self._session = session
        self._authenticator = authenticator
        self._limiter = ConcurrencyLimiter(workers, sleep=sleep)
        self._retries = retries
        self._sleep = sleep

    async def ask(
        self, url: str, *, method: Literal["GET", "HEAD"] = "GET", headers: Mapping[str, str] | None = None, most: int
    ) -> Answer:
        """Make a request, retrying temporary failures, and return the response whatever its status.

        Parameters
        ----------
        most
            Maximum bytes of the body that are read.

        Raises
        ------
        TransferError
            The connection or the server failed.
        AuthenticationError
            The store requires a login, and credentials are missing or were refused.
        """
        return await retry_call(
            lambda: self._ask(url, method, headers, most),
            RetryPolicy(self._retries),
            worth_it=lambda error: isinstance(error, TransferError) and (error.retry_after or 0) <= MAX_RETRY_AFTER,
            before_sleep=_announce,
            sleep=self._sleep,
        )

    async def _ask(
        self, url: str, method: Literal["GET", "HEAD"], headers: Mapping[str, str] | None, most: int
    ) -> Answer:
        attempt = self._authenticator.begin_attempt()
        while True:
            async with self._limiter.slot() as started:
                answer = await self._answer(url, method, headers, most, beginning=attempt.on_request)
                self._raise_if_temporary(answer, started)
            if not is_login_page(answer.body):
                return answer
            await attempt.sign_in(url)

    async def _answer(
        self,
        url: str,
        method: Literal["GET", "HEAD"],
        headers: Mapping[str, str] | None,
        most: int,
        *,
        beginning: Callable[[], None],
    ) -> Answer:
        try:
            async with self._session.get(url, method=method, headers=headers, beginning=beginning) as response:
                body, whole = await self._session.page(response, most)
        except NETWORK_ERRORS as error:
            raise TransferError(describe_error(error)) from error
        return Answer(response.status, response.headers, body, whole)

    def _raise_if_temporary(self, answer: Answer, started: float) -> None:
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


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.debug("%s; asking again in %.1f s", error, state.upcoming_sleep)
