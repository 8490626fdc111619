"""What is said of a search without results: what was asked for, and whether the coordinates may be swapped."""

from __future__ import annotations

import shlex
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from collgs_async.config.settings import OPTIONS
from collgs_async.errors import AuthenticationError, CatalogueError
from collgs_async.models.query import Query
from collgs_async.models.width import elide

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from collgs_async.client import Client

__all__ = ["describe_nothing"]

_LONGEST = 60
"""Maximum characters of a value that is repeated."""


async def describe_nothing(client: Client, left_out: Collection[str], area: Sequence[float] | None) -> list[str]:
    """Repeat the query, and ask whether longitude and latitude are swapped if there are products where they would be.

    Parameters
    ----------
    left_out
        Why products that were found are left out.
    area
        West, south, east, north of the area of interest in degrees; None: there is none.
    """
    query = client.config.needed_query()
    lines = [f"The query was {' '.join(_flags(client, query))}"]
    if set(left_out) - {"outside the area"}:
        return lines
    box = area or [float(corner) for corner in query.parameters.get("box", "").split(",") if corner]
    if box and (swapped := _swapped(box)) and await _has_products(client, query.collection, swapped):
        corners = ",".join(f"{corner:g}" for corner in swapped)
        what = "the area has longitude before latitude" if area else "--bbox is W,S,E,N, longitude before latitude"
        lines.append(f"Are longitude and latitude swapped? There are products in {corners}; {what}.")
    return lines


def _flags(client: Client, query: Query) -> Iterator[str]:
    """Yield what was asked for as flags, wherever it was set."""
    rest = dict(query.parameters)
    chosen = client.config.selection.to_dict()
    for option in OPTIONS:
        section, _, name = option.key.partition(".")
        if option.group != "selection" or name == "count":
            continue
        value = rest.pop(name, None) if section == "parameters" else chosen.get(name)
        if value is True:
            yield option.flag
        elif value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            text = text[1:-1] if name == "cloudCover" and text[0] + text[-1] == "[]" else text
            yield f"{option.flag} {shlex.quote(elide(text, _LONGEST))}"
    for name, value in rest.items():
        yield f"--set {shlex.quote(elide(f'{name}={value}', _LONGEST))}"


def _swapped(box: Sequence[float]) -> tuple[float, float, float, float] | None:
    """Return a box with longitudes for latitudes; None if that is no box, or the same one."""
    west, south, east, north = box
    is_box = west <= east and max(abs(west), abs(east)) <= 90
    swapped = (south, west, north, east)
    return swapped if is_box and swapped != tuple(box) else None


async def _has_products(client: Client, collection: str, box: tuple[float, float, float, float]) -> bool:
    query = Query.create(collection, bbox=box, count=1)
    with suppress(CatalogueError, AuthenticationError):
        async with aclosing(aiter(client.catalogue.search(query))) as products:
            async for _ in products:
                return True
    return False
