"""What the catalogue is asked for: as much of a selection as it understands, in addresses that are not too long."""

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

__all__ = ["LONGEST_ADDRESS", "build_queries"]

LONGEST_ADDRESS: Final = 2000
"""Characters of a search address; proxies and servers take 8000 or more, some only 2048."""

_PAGING: Final = {"startIndex": "1000000", "count": "1000", "httpAccept": "json"}
_SHORTEST_WKT: Final = 130
"""Characters in which an area can always be said, if only by a box in whole degrees."""


def build_queries(
    query: Query, selection: Selection, area: Area | None, identifiers: Sequence[str], base_url: str
) -> list[tuple[Query, tuple[str, ...]]]:
    """Make the searches of a selection: one, or one for each batch of identifiers, which stand beside it.

    Of what can be wished, only the area, the identifiers and the direction of the orbit are sent: the catalogues of
    this kind write platforms, types, tracks and polarisations each in its own way, and a word that they do not use
    would find nothing.

    Raises
    ------
    ConfigError
        A search parameter already says what the selection says, too.
    """
    if problems := list(selection.said_twice(query.parameters)):
        raise ConfigError(problems)
    directions = selection.criteria.orbit_directions
    if directions:
        query = _with(query, {"orbitDirection": ",".join(sorted(directions))}, checked="orbitDirection")
    if identifiers:
        query = replace(query, start_index=1)  # of each batch, all are wanted
        return [
            (replace(_with(query, {"identifier": ",".join(batch)}), required=frozenset({"identifier"})), batch)
            for batch in _batches(query, identifiers, base_url)
        ]
    return [(query if area is None else _with_area(query, area, base_url), ())]


def _with(query: Query, more: Mapping[str, str], *, checked: str | None = None) -> Query:
    known = query.also_local if checked is None else query.also_local | {checked}
    return replace(query, parameters={**query.parameters, **more}, also_local=known)


def _with_area(query: Query, area: Area, base_url: str) -> Query:
    """Ask by the real shape, which is checked again on our side; where the server knows no shapes, by its box."""
    asked = _with(query, {"geometry": _wkt(query, area, base_url)}, checked="geometry")
    if "box" in query.parameters:
        return asked
    box = ",".join(f"{degrees:.6f}".rstrip("0").rstrip(".") for degrees in area.box)
    return replace(asked, fallbacks={"geometry": ("box", box)}, also_local=asked.also_local | {"box"})


def _wkt(query: Query, area: Area, base_url: str) -> str:
    """Say the area in as many words as the address has room for."""
    room = LONGEST_ADDRESS - _length(query, {"geometry": ""}, base_url)
    while True:
        text = area.to_wkt(max(room, _SHORTEST_WKT), repeated=True)
        excess = _length(query, {"geometry": text}, base_url) - LONGEST_ADDRESS
        if excess <= 0 or room <= _SHORTEST_WKT:
            return text
        room = min(room, len(text)) - excess


def _batches(query: Query, identifiers: Sequence[str], base_url: str) -> Iterator[tuple[str, ...]]:
    """Cut a list into as many pieces as addresses have room for."""
    room = LONGEST_ADDRESS - _length(query, {"identifier": ""}, base_url)
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
