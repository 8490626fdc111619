"""The exception hierarchy, ordered by what a caller can do about an error.

::

    CollgsError
    ├── ConfigError            before the run: all invalid values at once; nothing was changed
    ├── AuthenticationError    stops the run: the same credentials would be refused again
    ├── StorageError           stops the run: the disk is full, the folder is missing or read-only
    ├── LimitReachedError      ends the run at a limit that was asked for; the next run goes on
    ├── EngineError            stops the run: the cluster that downloads cannot be reached, or is lost
    ├── LedgerError            the ledger is damaged, of a later release or cannot be written; archives are not affected
    ├── AlreadyRunningError    another run keeps this folder; nothing was done
    ├── CatalogueError         ends the search; products found before are still downloaded
    └── ProductError           fails one product; the run continues
        ├── ExhaustedError     no file descriptor is left; with fewer files or connections there will be
        ├── FileError          this product's file cannot be written; other products are not affected
        ├── NotAvailableError  the store does not serve this product (404, 403, ...)
        ├── TakenOverError     another run has taken the product's lock over
        ├── TransferError      the connection or the server failed; a retry may succeed
        └── IntegrityError     the downloaded bytes are not the product
            └── UnreadableError    the disk cannot read back what was written
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

__all__ = [
    "AlreadyRunningError",
    "AuthenticationError",
    "CatalogueError",
    "CollgsError",
    "ConciseErrors",
    "ConfigError",
    "EngineError",
    "ExhaustedError",
    "FileError",
    "IntegrityError",
    "LedgerError",
    "LimitReachedError",
    "NotAvailableError",
    "ProductError",
    "StorageError",
    "TakenOverError",
    "TransferError",
    "UnreadableError",
    "did_you_mean",
]


class CollgsError(Exception):
    """Base class of all errors that this package raises on purpose."""


class ConfigError(CollgsError):
    """Settings or search parameters are invalid.

    Parameters
    ----------
    problems
        One line for each invalid value: its name, what was expected, what was found.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class AuthenticationError(CollgsError):
    """The store requires a login, and credentials are missing or were refused."""


class StorageError(CollgsError):
    """The output folder cannot be written: the disk is full, or the folder is read-only or missing."""


class EngineError(CollgsError):
    """The cluster whose processes download cannot be reached or started, or is lost; the next run goes on."""


class LedgerError(CollgsError):
    """The ledger of a folder cannot be used: it is damaged, of a later release, no ledger, or cannot be written.

    The archives are not affected, and downloads go on without it.

    Parameters
    ----------
    is_damaged
        Whether its content is damaged, so that it has to be made anew.
    """

    def __init__(self, message: str, *, is_damaged: bool = False) -> None:
        super().__init__(message)
        self.is_damaged = is_damaged


class AlreadyRunningError(CollgsError):
    """Another run that changes the ledger of this folder is at work, so nothing was done."""


class LimitReachedError(CollgsError):
    """A run has reached one of its limits: ``max_bytes``, ``max_time``, ``until`` or ``keep_free``.

    A run over many products returns it as `Report.stopped_by`. The download of a single product raises it where
    ``keep_free`` leaves no room for it.

    Parameters
    ----------
    message
        The limit, and what has reached it.
    setting
        The name of the limit.
    """

    def __init__(self, message: str, *, setting: str) -> None:
        super().__init__(message)
        self.setting = setting


class CatalogueError(CollgsError):
    """The catalogue did not respond, or its response is not a page of results.

    Parameters
    ----------
    message
        What happened, with the server's own message if there is one.
    retryable
        Whether the same request may succeed later.
    retry_after
        Retry-After in seconds; None if there is none.

    Attributes
    ----------
    status
        HTTP status of an error response; None if there was no response.
    away
        Whether the whole catalogue may be unavailable, rather than only this request failing.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.status: int | None = None
        self.away = False


class ProductError(CollgsError):
    """One product could not be downloaded; other products are not affected.

    Attributes
    ----------
    advice
        What to do about it, where the same command would fail again; None: nothing in particular.
    """

    advice: ClassVar[str | None] = None


class ExhaustedError(ProductError):
    """No file descriptor is left for another file or connection; one becomes free when other downloads finish."""


class FileError(ProductError):
    """The product's file cannot be written: it is too large, its name is invalid, or its path is not a file."""


class TakenOverError(ProductError):
    """Another run took the product's lock over while this one was suspended, and owns the part file now."""


class NotAvailableError(ProductError):
    """The store does not serve this product; a retry would not help."""


class TransferError(ProductError):
    """The connection or the server failed; received bytes are kept, and a retry may finish the download.

    Parameters
    ----------
    message
        What happened, with the server's own message if there is one.
    retry_after
        Retry-After in seconds; None if there is none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IntegrityError(ProductError):
    """The file on disk is not a complete and correct archive."""


class UnreadableError(IntegrityError):
    """The disk cannot read back bytes of this product's file, so none of its bytes can be trusted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion to append to an error message: the known word most like `word`; empty if none is close."""
    import difflib  # deferred: only errors need it

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class ConciseErrors:
    """A context manager at the border of the library: errors of this package leave it without what is behind them.

    The words of a cause are in the message; its traceback, through HTTP and the event loop, has hundreds of lines. The
    traceback begins where the error leaves the context.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, CollgsError):
            error.__cause__, error.__suppress_context__, error.__traceback__ = None, True, None
        if error is not None and error.__suppress_context__:
            # Nothing shows it; but with a group of exceptions in it, IPython prints the error to stderr as plain text.
            error.__context__ = None
