"""Recognise the refusal of a collection that the catalogue does not have, and name the nearest one that it has."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_about_collection", "unknown_collection"]

_REFUSAL: Final = re.compile(
    r"unknown (?:parent|collection)|parent '[^']{0,200}' is not enabled|"
    r"collection .{0,200}(?:not found|does not exist)",
    re.IGNORECASE,
)
"""What a GeoServer says (``Unknown parentId 'X'``), and servers of its kind."""


def is_about_collection(error: CatalogueError) -> bool:
    """Whether the catalogue refuses the collection itself."""
    return not error.retryable and _REFUSAL.search(str(error)) is not None


def unknown_collection(error: CatalogueError, name: str, known: Iterable[str]) -> CatalogueError:
    """Return an error for a collection that is not a known one, in the server's words and with the nearest one.

    Parameters
    ----------
    error
        The refusal.
    name
        The collection.
    known
        The collections of the catalogue; empty if they could not be listed.
    """
    by_upper = {one.upper(): one for one in known}
    near = difflib.get_close_matches(name.upper(), by_upper, n=1)
    hint = f" did you mean {by_upper[near[0]]}?" if near else ""
    return CatalogueError(f"{error};{hint} `collgs-async collections` lists all")
