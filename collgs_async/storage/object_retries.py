"""Repeat failed requests to an object store, and wait for one that is away."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.models.text import format_duration
from collgs_async.storage.object_errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.storage.object_errors import StoreTrouble

__all__ = ["Retries"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

_LONGEST_PAUSE: Final = 30.0


class Retries:
    """Repeats the requests to one store; a success of one lets the others go on.

    Small requests may be answered where uploads fail, as by a store that is full, so that only an upload's success
    counts for uploads.

    Parameters
    ----------
    name
        What to call the store in messages.
    tries
        Failures in a row, of a request and of all others meanwhile, after which to give up.
    sleep
        Waits, in seconds.
    now
        Clock, in seconds.

    Attributes
    ----------
    outage
        Seconds without a success before which not to give up, either; 0 to stop after the tries.
    """

    def __init__(
        self, name: str, tries: int, *, sleep: Callable[[float], Awaitable[None]], now: Callable[[], float]
    ) -> None:
        self.outage = 0.0
        self._name = name
        self._tries = tries
        self._sleep = sleep
        self._now = now
        self._successes = 0
        self._uploads = 0
        self._away_since: float | None = None
        self._has_failed_uploads = False

    async def run(self, work: Callable[[], Awaitable[T]], *, uploads: bool = False) -> T:
        """Do some work, and repeat it while that may help.

        Parameters
        ----------
        uploads
            Whether it is an upload.

        Raises
        ------
        FailedError
            It failed for good.
        """
        failures, since, successes = 0, 0.0, -1
        while True:
            try:
                result = await work()
            except FailedError as error:
                if not error.trouble.is_temporary:
                    raise
                now, count = self._now(), self._uploads if uploads else self._successes
                if count != successes:
                    failures, since, successes = 0, now, count
                failures += 1
                pause, left = min(_LONGEST_PAUSE, math.ldexp(1.0, min(failures, 6) - 1)), since + self.outage - now
                if failures >= self._tries:
                    if left <= 0:
                        raise
                    self._announce(error.trouble, since, left, uploads=uploads)
                    pause = min(pause, left)
                log.debug("%s: %s; trying again in %.0f s", self._name, error.trouble.words, pause)
            else:
                self._succeed(uploads=uploads)
                return result
            await self._sleep(pause)

    def _announce(self, trouble: StoreTrouble, since: float, left: float, *, uploads: bool) -> None:
        """Say once that the store is waited for."""
        self._has_failed_uploads |= uploads
        if self._away_since is None:
            self._away_since = since
            log.warning("%s: %s; trying again for up to %s", self._name, trouble.words, format_duration(round(left)))

    def _succeed(self, *, uploads: bool) -> None:
        self._successes += 1
        self._uploads += uploads
        if self._away_since is not None and (uploads or not self._has_failed_uploads):
            lasted, self._away_since, self._has_failed_uploads = self._now() - self._away_since, None, False
            log.warning("%s answers again after %s: going on", self._name, format_duration(round(lasted)))
