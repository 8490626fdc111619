"""What can go wrong, cut by who deals with it.

::

    CollgsError
    ├── ConfigError            before the run: every wrong value, named at once; nothing was touched
    ├── AuthenticationError    stops the run: a second try with the same credentials helps nobody
    ├── StorageError           stops the run: the disk is full, the folder is gone or read-only
    ├── CatalogueError         ends the search; the products that were found still finish
    └── ProductError           costs one product; the run goes on
        ├── ExhaustedError     no descriptor is left for another file or connection; with fewer at once there is
        ├── FileError          the disk refuses this product's file; others are not concerned
        ├── NotAvailableError  the store says that it does not hand this product out (404, 403, ...)
        ├── TakenOverError     another run has it now; what this one has written is no longer its own
        ├── TransferError      the line or the server failed; worth another try
        └── IntegrityError     bytes arrived and they are not the product
            └── UnreadableError    the disk does not give back what it took
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AuthenticationError",
    "CatalogueError",
    "CollgsError",
    "ConfigError",
    "ExhaustedError",
    "FileError",
    "IntegrityError",
    "NotAvailableError",
    "ProductError",
    "StorageError",
    "TakenOverError",
    "TransferError",
    "UnreadableError",
    "did_you_mean",
]


class CollgsError(Exception):
    """The root of every error that this package raises on purpose."""


class ConfigError(CollgsError):
    """The settings or the search parameters are wrong.

    Parameters
    ----------
    problems
        One line for each wrong value: its name, what was expected, what was found.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class AuthenticationError(CollgsError):
    """The store asks for a sign-in that is missing or was refused."""


class StorageError(CollgsError):
    """The output folder cannot take another byte: full, read-only or gone."""


class CatalogueError(CollgsError):
    """The catalogue did not answer, or answered with something that is no page of results.

    Parameters
    ----------
    message
        What happened, in the server's own words where it had any.
    retryable
        Whether the same request may succeed later.
    retry_after
        Seconds that the server asked to wait; None when it did not say.

    Attributes
    ----------
    status
        The HTTP status of an answer that refused; None where there was none.
    away
        Whether the catalogue as a whole may be in trouble, rather than this one request.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.status: int | None = None
        self.away = False


class ProductError(CollgsError):
    """One product could not be had; the others are not concerned."""


class ExhaustedError(ProductError):
    """The system has no descriptor left for another file or connection; with fewer at once there will be one."""


class FileError(ProductError):
    """The disk refuses this product's file: too large, a name that it does not take, something else in its place."""


class TakenOverError(ProductError):
    """Another run took the product over while this one stood still; its part is no longer ours to write or remove."""


class NotAvailableError(ProductError):
    """The store does not hand this product out; asking again soon is pointless."""


class TransferError(ProductError):
    """The line or the server failed; what has arrived is kept and another try may finish it.

    Parameters
    ----------
    message
        What happened, in the server's own words where it had any.
    retry_after
        Seconds that the server asked to wait; None when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IntegrityError(ProductError):
    """The bytes on disk are not a whole and right archive."""


class UnreadableError(IntegrityError):
    """The disk does not give back bytes of this product's file; nobody knows what they are, so none can be trusted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End a refusal with the known word that was most likely meant; with nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
