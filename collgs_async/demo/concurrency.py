"""Limit the number of archives a store sends at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from collgs_async.demo.responses import Response, text_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FlowLimiter", "FlowsStatus", "too_many_flows"]

FlowsStatus: TypeAlias = Literal[200, 403, 429]

_XML = '<?xml version="1.0"?><error><message>%s</message></error>\n'
_MESSAGE = "Maximum number of %d concurrent flows achieved by the user"


class FlowLimiter:
    """Counts concurrent transfers.

    Parameters
    ----------
    most
        The limit; None: unlimited.
    status
        The status of a refusal.
    """

    def __init__(self, most: int | None, status: FlowsStatus) -> None:
        self._most = most
        self._status: FlowsStatus = status
        self._on_their_way = 0

    @property
    def exhausted(self) -> bool:
        """Whether the limit is reached."""
        return self._most is not None and self._on_their_way >= self._most

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one transfer."""
        self._on_their_way += 1
        try:
            yield
        finally:
            self._on_their_way -= 1

    def refusal(self) -> Response:
        """Return the refusal of a transfer beyond the limit."""
        return too_many_flows(self._status, self._most or 0)


def too_many_flows(status: FlowsStatus, most: int) -> Response:
    """Refuse a transfer: 429 asks to wait a second, the other statuses explain it in XML only, as some stores do."""
    wait = {"Retry_After": "1"} if status == 429 else {}
    return text_reply(status, _XML % (_MESSAGE % most), "application/xml", **wait)
