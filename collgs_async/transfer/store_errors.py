"""Classify what a store answers instead of an archive by what can be done: retry, log in, wait, or fail the product."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from collgs_async.errors import AuthenticationError, ExhaustedError, NotAvailableError, ProductError, TransferError
from collgs_async.http.body_reading import read_what_comes
from collgs_async.http.login_page import is_login_page
from collgs_async.http.messages import error_text, is_rate_limit_text
from collgs_async.http.network_errors import describe_error, is_away, is_permanent, root_of
from collgs_async.http.retry import parse_retry_after
from collgs_async.models.redaction import redacted
from collgs_async.models.text import format_duration
from collgs_async.storage.files import NO_DESCRIPTOR
from collgs_async.storage.verify import describe_non_zip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import ClientResponse

__all__ = [
    "ERROR_PAGE",
    "BusyError",
    "LoginRequired",
    "StagingError",
    "UnavailableError",
    "WholeArchivesOnlyError",
    "check_is_zip",
    "error_from_network",
    "error_from_response",
]

ERROR_PAGE: Final = 64 * 1024
"""Maximum bytes of an error page that are read for the server's message."""

_SAMPLE: Final = 256
_TEXT: Final = bytes({*b"\t\n\f\r", *range(32, 127), *range(128, 256)})
"""Byte values that occur in text, in UTF-8 or an older encoding."""


class LoginRequired(Exception):  # noqa: N818 - not an error: the login follows, then the request is repeated
    """The store responded with a login form instead of the archive."""


class UnavailableError(TransferError):
    """The store cannot serve the request at the moment; the cause may be the whole store, or this archive alone."""


class BusyError(UnavailableError):
    """The store rejected the request because there are too many at once."""


class WholeArchivesOnlyError(NotAvailableError):
    """The store sent the whole archive instead of a range of it."""

    advice: ClassVar[str | None] = (
        "Add --else-whole to fetch whole archives from a store that cannot send parts of them."
    )

    def __init__(self, message: str = "the store sends whole archives only; --else-whole takes them") -> None:
        super().__init__(message)


class StagingError(TransferError):
    """The store is restoring the archive from tape (HTTP 202); the request is to be repeated later."""


def check_is_zip(head: bytes, headers: Mapping[str, str], longest_wait: float) -> None:
    """Raise unless the body starts like a ZIP archive, whatever its Content-Type says."""
    if (what := describe_non_zip(head)) is None:
        return
    if is_login_page(head):
        raise LoginRequired
    if head[:_SAMPLE].translate(None, _TEXT):  # binary data, so not an error message but the wrong content
        raise TransferError(f"the store sent {what} instead of the archive", retry_after=parse_retry_after(headers))
    words = error_text(head)
    message = f"the store sent {what} instead of the archive{f': {words}' if words else ''}"
    raise _temporary_error(message, parse_retry_after(headers), longest_wait, busy=is_rate_limit_text(words))


def error_from_network(error: BaseException) -> TransferError | ExhaustedError | NotAvailableError:
    """Convert an error of the connection, or the lack of a file descriptor for one."""
    root = root_of(error)
    if isinstance(root, OSError) and root.errno in NO_DESCRIPTOR:
        return ExhaustedError(describe_error(error))
    if is_away(error):
        return UnavailableError(describe_error(error))
    return (NotAvailableError if is_permanent(error) else TransferError)(describe_error(error))


async def error_from_response(
    response: ClientResponse, seconds: float, longest_wait: float
) -> ProductError | AuthenticationError:
    """Convert an error response into the exception class that determines how it is handled."""
    page = await read_what_comes(response, ERROR_PAGE, seconds=seconds)
    words = error_text(page)
    message = f"HTTP {response.status}: {words or redacted(response.reason or '') or 'no reason given'}"
    wait = parse_retry_after(response.headers)
    if response.status == 401:
        return AuthenticationError(f"the store asks for a sign-in ({message})")
    if response.status == 202:
        return StagingError(message, retry_after=wait)
    busy = response.status in {429, 503} or is_rate_limit_text(words)
    if busy or response.status >= 500 or response.status in {408, 425}:
        return _temporary_error(message, wait, longest_wait, busy=busy)
    return NotAvailableError(message)


def _temporary_error(message: str, wait: float | None, longest_wait: float, *, busy: bool) -> ProductError:
    """Return a temporary error, or a permanent one if Retry-After exceeds the longest wait."""
    if wait is not None and wait > longest_wait:
        return NotAvailableError(f"{message}; it asks to wait {format_duration(wait)}, longer than a run does")
    return (BusyError if busy else UnavailableError)(message, retry_after=wait)
