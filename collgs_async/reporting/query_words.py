"""Describe a query in words, such as ``luxembourg.geojson`` and ``at most 20 % cloud``."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["describe_query"]

_SILENT: Final = frozenset({"parentIdentifier", "timeStart", "timeEnd", "cloudCover", "box", "geometry"})
"""Search parameters that are described by sentences of their own, or by the area of interest."""

_MOST_LETTERS: Final = 60

_DAY: Final = len("2022-07-01")
_FIRST_MOMENT: Final = "T00:00:00.000Z"
_LAST_MOMENT: Final = "T23:59:59.999Z"


def describe_query(parameters: Mapping[str, object], selection: Mapping[str, Any]) -> list[str]:
    """Return what was asked for, one part for each criterion: area, dates, cloud cover, and then the others.

    Parameters
    ----------
    parameters
        The search parameters, as in `Query.to_dict`. The collection is left out.
    selection
        The criteria that differ from their defaults, as in `Selection.to_dict`.
    """
    return [
        *_area(parameters, selection.get("aoi"), selection.get("min_overlap")),
        *_dates(_text(parameters, "timeStart"), _text(parameters, "timeEnd")),
        *_cloud(_text(parameters, "cloudCover")),
        *(f"{_words(name)} {_short(value)}" for name, value in parameters.items() if name not in _SILENT),
        *(
            _words(name) if value is True else f"{_words(name)} {_short(value)}"
            for name, value in selection.items()
            if name not in {"aoi", "min_overlap", "strict"} and value is not False
        ),
    ]


def _text(parameters: Mapping[str, object], name: str) -> str:
    return str(parameters.get(name) or "")


def _area(parameters: Mapping[str, object], area: object, least: object) -> Iterator[str]:
    """Yield the area: the file's name, or the box."""
    share = f", {_number(least)} % of it at least" if least else ""
    match area:
        case None:
            if box := _text(parameters, "box"):
                yield f"box {box}"
            if geometry := _text(parameters, "geometry"):
                yield f"within {_short(geometry)}"
        case str() if not _is_geometry(area):
            yield f"{PurePath(area).name}{share}"
        case PurePath():
            yield f"{area.name}{share}"
        case _:
            yield f"area of interest{share}"


def _is_geometry(text: str) -> bool:
    """Whether a text is WKT or GeoJSON rather than the name of a file."""
    return text.lstrip().startswith("{") or "(" in text or text.rstrip().upper().endswith("EMPTY")


def _dates(start: str, end: str) -> Iterator[str]:
    first, last = start.removesuffix(_FIRST_MOMENT), end.removesuffix(_LAST_MOMENT)
    if first and last:
        yield f"sensed {first}" if first == last and len(first) == _DAY else f"sensed {first} to {last}"
    elif first:
        yield f"sensed since {first}"
    elif last:
        yield f"sensed until {last}"


def _cloud(limits: str) -> Iterator[str]:
    least, _, most = limits.strip("[]").partition(",")
    if not limits:
        return
    if not most:
        yield f"{least} % cloud"
    elif least in {"", "0"}:
        yield f"at most {most} % cloud"
    else:
        yield f"{least} to {most} % cloud"


def _words(name: str) -> str:
    """Separate the words of a name: ``orbit_direction`` and ``orbitDirection`` are both ``orbit direction``."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).replace("_", " ")


def _short(value: object) -> str:
    """Format a value in one line; a long one is cut, with the number of a list's items."""
    items = [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]
    text = ", ".join(items)
    if len(text) <= _MOST_LETTERS:
        return text
    return f"{len(items):,} values" if len(items) > 1 else f"{text[: _MOST_LETTERS - 1]}…"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
