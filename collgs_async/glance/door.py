"""Short questions to the store, no more at once than it tolerates, after a sign-in where it wants one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from collgs_async.errors import TransferError
from collgs_async.limits import Gate
from collgs_async.patience import LONGEST_WAIT, Patience, persisting, retry_after
from collgs_async.transport import NETWORK_ERRORS, describe
from collgs_async.words import asks_to_sign_in, looks_like_html, says_too_many, server_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tenacity import RetryCallState

    from collgs_async.auth import Authenticator
    from collgs_async.transport import Transport

__all__ = ["Answer", "Door"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said.

    Attributes
    ----------
    status, headers
        Of the answer.
    body
        Its beginning.
    whole
        Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


class Door:
    """Where the store is asked; one gate for all questions.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in.
    workers
        The most questions at once.
    retries
        Tries in a row of one question before it is given up.
    sleep
        The way to wait between tries, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        *,
        workers: int,
        retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._gate = Gate(workers, sleep=sleep)
        self._retries = retries
        self._sleep = sleep

    async def ask(
        self, url: str, *, method: Literal["GET", "HEAD"] = "GET", headers: Mapping[str, str] | None = None, most: int
    ) -> Answer:
        """Ask, again where that can help, and give the answer whatever it says.

        Parameters
        ----------
        url, method, headers
            What to ask for.
        most
            Bytes of the body that are read.

        Raises
        ------
        TransferError
            The line or the server failed.
        AuthenticationError
            The store asks for a sign-in that is missing or was refused.
        """
        return await persisting(
            lambda: self._ask(url, method, headers, most),
            Patience(self._retries),
            worth_it=lambda error: isinstance(error, TransferError) and (error.retry_after or 0) <= LONGEST_WAIT,
            before_sleep=_announce,
            sleep=self._sleep,
        )

    async def _ask(
        self, url: str, method: Literal["GET", "HEAD"], headers: Mapping[str, str] | None, most: int
    ) -> Answer:
        visit = self._authenticator.visit()
        while True:
            async with self._gate.enter() as began:
                answer = await self._answer(url, method, headers, most, beginning=visit.begins)
                self._refuse_for_now(answer, began)
            if not (looks_like_html(answer.body) and asks_to_sign_in(answer.body)):
                return answer
            await visit.sign_in(url)

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
            async with self._transport.get(url, method=method, headers=headers, beginning=beginning) as response:
                body, whole = await self._transport.page(response, most)
        except NETWORK_ERRORS as error:
            raise TransferError(describe(error)) from error
        return Answer(response.status, response.headers, body, whole)

    def _refuse_for_now(self, answer: Answer, began: float) -> None:
        """Raise what may be worth another try: trouble of the server, and a refusal for now, if only in words."""
        words = server_words(answer.body) if answer.status >= 400 or answer.body.lstrip()[:1] in {b"<", b"{"} else ""
        is_busy = answer.status in {429, 503} or says_too_many(words)
        if not is_busy and answer.status < 500:
            self._gate.accepted()
        if not is_busy and (answer.status < 500 or answer.status in {501, 505}):
            return
        wait = retry_after(answer.headers)
        if is_busy and (wait or 0) <= LONGEST_WAIT:
            self._gate.refused(began, wait)
        raise TransferError(f"HTTP {answer.status}: {words or 'no reason given'}", retry_after=wait)


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.debug("%s; asking again in %.1f s", error, state.upcoming_sleep)
