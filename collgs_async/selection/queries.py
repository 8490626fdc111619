"""Build the queries of a selection: as much of it as the catalogue supports, in URLs of limited length."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from yarl import URL

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.config.settings import Selection
    from collgs_async.models.query import Query
    from collgs_async.selection.aoi.area import Area

__all__ = ["MAX_URL_LENGTH", "build_queries"]

MAX_URL_LENGTH: Final = 2000
"""Limit on a search URL in characters; servers and proxies accept 8000 or more, but some only 2048."""

_PAGING: Final = {"startIndex": "1000000", "count": "1000", "httpAccept": "json"}
_SHORTEST_WKT: Final = 130
"""Characters that suffice for any area, if only as a box in whole degrees."""


def build_queries(
    query: Query, selection: Selection, area: Area | None, identifiers: Sequence[str], base_url: str
) -> list[tuple[Query, tuple[str, ...]]]:
    """Build the queries of a selection: one, or one per batch of identifiers.

    Of the criteria only area, identifiers and orbit direction are sent: catalogues of this kind spell platforms, types,
    tracks and polarisations differently, and an unknown spelling would match nothing.

    Raises
    ------
    ConfigError
        A search parameter and the selection set the same thing.
    """
    if problems := list(selection.conflicts(query.parameters)):
        raise ConfigError(problems)
    directions = selection.criteria.orbit_directions
    if directions:
        query = _with(query, {"orbitDirection": ",".join(sorted(directions))}, checked="orbitDirection")
    if identifiers:
        query = replace(query, start_index=1)  # all products of each batch are wanted
        return [
            (replace(_with(query, {"identifier": ",".join(batch)}), required=frozenset({"identifier"})), batch)
            for batch in _batches(query, identifiers, base_url)
        ]
    return [(query if area is None else _with_area(query, area, base_url), ())]


def _with(query: Query, more: Mapping[str, str], *, checked: str | None = None) -> Query:
    known = query.also_local if checked is None else query.also_local | {checked}
    return replace(query, parameters={**query.parameters, **more}, also_local=known)


def _with_area(query: Query, area: Area, base_url: str) -> Query:
    """Query by the shape, which is checked locally as well; the fallback is its box."""
    asked = _with(query, {"geometry": _wkt(query, area, base_url)}, checked="geometry")
    if "box" in query.parameters:
        return asked
    box = ",".join(f"{degrees:.6f}".rstrip("0").rstrip(".") for degrees in area.box)
    return replace(asked, fallbacks={"geometry": ("box", box)}, also_local=asked.also_local | {"box"})


def _wkt(query: Query, area: Area, base_url: str) -> str:
    """Return the area as WKT, as detailed as the length of the URL permits."""
    room = MAX_URL_LENGTH - _length(query, {"geometry": ""}, base_url)
    while True:
        text = area.to_wkt(max(room, _SHORTEST_WKT), repeated=True)
        excess = _length(query, {"geometry": text}, base_url) - MAX_URL_LENGTH
        if excess <= 0 or room <= _SHORTEST_WKT:
            return text
        room = min(room, len(text)) - excess


def _batches(query: Query, identifiers: Sequence[str], base_url: str) -> Iterator[tuple[str, ...]]:
    """Split a list into batches that fit into URLs."""
    room = MAX_URL_LENGTH - _length(query, {"identifier": ""}, base_url)
    batch: list[str] = []
    used = 0
    for identifier in identifiers:
        needed = len(URL.build(query={"i": f",{identifier}"}).raw_query_string) - len("i=")
        if batch and used + needed > room:
            yield tuple(batch)
            batch, used = [], 0
        batch.append(identifier)
        used += needed
    if batch:
        yield tuple(batch)


def _length(query: Query, more: Mapping[str, str], base_url: str) -> int:
    return len(str(URL(base_url).with_query({**query.parameters, **more, **_PAGING})))
