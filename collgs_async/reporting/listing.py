"""List products as they are found: as a table, or as JSON, GeoJSON, STAC, CSV or URLs."""

from __future__ import annotations

import csv
import io
import logging
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from collgs_async.errors import CollgsError, ConfigError
from collgs_async.http.messages import json_text, printable
from collgs_async.models.geojson import FLAT_FIELDS, feature, properties, to_wkt, valid_geometry
from collgs_async.models.text import format_bytes
from collgs_async.models.width import cut, elide, pad, text_width
from collgs_async.reporting.colour import has_colour, paint
from collgs_async.reporting.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    from collgs_async.models.product import Product

__all__ = ["csv_line", "write_listing"]

_IDENTIFIER_WIDTH = 67  # the names of Sentinel-1; those of Sentinel-2 have 60
_NARROWEST_IDENTIFIER = 20
_GAP = "  "
_UNKNOWN = "-"
_N_SAMPLE = 20  # products from which a table chooses its columns

# RFC 3986 §2 without the apostrophe: xargs interprets quotes, backslashes and blanks.
_URL_CHARACTERS = "%:/?#[]@!$&()*+,;=~"

_FORMULA = tuple("=+-@＝＋－＠")
"""First characters of a formula, in spreadsheets of any language."""

log = logging.getLogger("collgs_async")


async def write_listing(
    products: AsyncIterable[Product],
    format: str,  # noqa: A002  (it holds the value of --format)
    out: TextIO,
    *,
    width: int | None = None,
    action: Callable[[Product], str] | None = None,
) -> int:
    """Write each product as soon as it is found, flushed per line, in constant memory.

    However the search ends, JSON, GeoJSON and STAC are closed and stay valid.

    Parameters
    ----------
    products
        The products, in the order of the listing.
    format
        One of `FORMATS`. ``jsonl`` has one object in each line, ``stac`` is an ItemCollection. A product without URL is
        left out of ``urls``, and one without sensing time of ``stac``, with a warning that names it.
    out
        The output.
    width
        Columns of the terminal, for the table only: no line is longer, and the header may be bold. None: not a
        terminal; nothing is truncated. The first 20 products decide which columns a table has: none without a value.
    action
        Returns what a download would do with a product ("fetch", "resume", "skip"), for the first column or key, except
        with ``urls``. None: no such column.

    Returns
    -------
    int
        The number of products written.

    Raises
    ------
    ConfigError
        `format` is not one of `FORMATS`.
    OSError
        Writing failed; BrokenPipeError when the reader, such as ``head``, has ended.
    """
    if format == "table":
        return await _write_table(products, out, width, action)
    return await _write(products, _layout(format, action), out)


async def _write_table(
    products: AsyncIterable[Product], out: TextIO, width: int | None, action: Callable[[Product], str] | None
) -> int:
    """Buffer the first products to choose the columns: those without any values are left out."""
    first: list[Product] = []
    rest = aiter(products)
    failure: Exception | None = None
    try:
        while len(first) < _N_SAMPLE:
            first.append(await anext(rest))
    except StopAsyncIteration:
        pass
    except CollgsError as error:
        failure = error

    async def all_of_them() -> AsyncIterator[Product]:
        for product in first:
            yield product
        if failure:
            raise failure
        if len(first) == _N_SAMPLE:
            async for product in rest:
                yield product

    table = _table(width, action, first)
    if width is not None and has_colour(out):
        table = replace(table, head=paint(table.head.rstrip("\n"), "bold") + "\n")
    return await _write(all_of_them(), table, out)


async def _write(products: AsyncIterable[Product], layout: _Layout, out: TextIO) -> int:
    written = 0
    if layout.head_without_lines:
        out.write(layout.head)
        out.flush()
    try:
        async for product in products:
            line = layout.line(product)
            if line is not None:
                if not written and not layout.head_without_lines:
                    out.write(layout.head)
                out.write(layout.joint + line if written else line)
                out.flush()
                written += 1
    finally:
        out.write(layout.tail if written else layout.tail.lstrip())
    out.flush()
    return written


@dataclass(frozen=True, slots=True)
class _Layout:
    """The text before, between and after the products, and the format of one; None leaves a product out.

    A CSV header without a line shows programs that there are no products; a person needs no empty table.
    """

    line: Callable[[Product], str | None]
    head: str = ""
    joint: str = ""
    tail: str = ""
    head_without_lines: bool = True


def _layout(name: str, action: Callable[[Product], str] | None) -> _Layout:
    match name:
        case "json":
            return _Layout(lambda product: "\n" + _json_line(product, action), "[", ",", "\n]\n")
        case "jsonl":
            return _Layout(lambda product: _json_line(product, action) + "\n")
        case "geojson" | "stac":
            line = partial(_feature_line if name == "geojson" else _item_line, action=action)
            return _Layout(line, '{"type": "FeatureCollection", "features": [', ",", "\n]}\n")
        case "csv":
            columns = (*(("action",) if action else ()), *FLAT_FIELDS, "WKT")  # the name by which GDAL knows geometry
            return _Layout(lambda product: csv_line(_cells(product, action)), csv_line(columns))
        case "urls":
            return _Layout(_url_line)
        case _:
            raise ConfigError(f"--format: expected one of {', '.join(FORMATS)}, found {name!r}")


def _record(product: Product, action: Callable[[Product], str] | None) -> dict[str, Any]:
    """Return every field that fits into one cell, in the order of the columns."""
    return {"action": action(product), **properties(product)} if action else properties(product)


def _cells(product: Product, action: Callable[[Product], str] | None) -> Iterator[object]:
    geometry = valid_geometry(product.footprint)
    yield from _record(product, action).values()
    yield to_wkt(geometry) if geometry else None


def _json_line(product: Product, action: Callable[[Product], str] | None) -> str:
    record = _record(product, action)
    problem = record.pop("problem")
    return json_text({**record, "footprint": valid_geometry(product.footprint), "problem": problem})


def _feature_line(product: Product, action: Callable[[Product], str] | None) -> str:
    return "\n" + json_text({**feature(product), "properties": _record(product, action)})


def _item_line(product: Product, action: Callable[[Product], str] | None) -> str | None:
    try:
        item = product.to_stac()
    except ValueError as error:
        log.warning("%s is left out: %s", product.identifier, error)
        return None
    if action:
        item["properties"]["action"] = action(product)
    return "\n" + json_text(item)


def csv_line(cells: Iterable[object]) -> str:
    """Return a line of CSV, whose text no spreadsheet takes for a formula."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(_cell(value) if isinstance(value, str) else value for value in cells)
    return line.getvalue()


def _cell(text: str) -> str:
    """Return text that spreadsheets do not take for a formula, without control characters; numbers need neither."""
    shown = "\n".join(map(printable, text.split("\n")))  # line breaks stay within the cell
    return f"'{shown}" if shown.lstrip()[:1] in _FORMULA else shown


def _url_line(product: Product) -> str | None:
    if product.url is None:
        log.warning("%s is left out, it has no URL: %s", product.identifier, product.problem or "no reason given")
        return None
    return quote(product.url, safe=_URL_CHARACTERS, errors="replace") + "\n"


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    alignment: str  # as in a format specification: "<20" is left-aligned in 20 columns
    cell: Callable[[Product], str]

    @property
    def width(self) -> int:
        return int(self.alignment[1:])

    def padded(self, cell: str) -> str:
        return pad(cell, self.width, right=self.alignment[0] == ">")


def _table(width: int | None, action: Callable[[Product], str] | None, first: Sequence[Product]) -> _Layout:
    lead = [_Column("action", "<6", action)] if action else []
    longest = max([len("identifier"), *(text_width(product.identifier) for product in first)])
    details = _choose_columns(width, lead, min(longest, _IDENTIFIER_WIDTH), first)
    room = _room_for_identifier(width, [*lead, *details])
    padding = min(room or _IDENTIFIER_WIDTH, longest)
    # The platform and the type are at the start of a name, the tile and the baseline near its end.
    identifier = _Column("identifier", f"<{padding}", lambda product: elide(printable(product.identifier), room))
    columns = [*lead, identifier, *details]

    def row(cells: Iterable[str]) -> str:
        line = _GAP.join(column.padded(printable(cell)) for column, cell in zip(columns, cells, strict=True))
        return (line if width is None else cut(line, width)).rstrip() + "\n"

    return _Layout(
        line=lambda product: row(column.cell(product) for column in columns),
        head=row(column.title for column in columns),
        head_without_lines=False,
    )


def _choose_columns(
    width: int | None, lead: Sequence[_Column], identifier: int, first: Sequence[Product]
) -> tuple[_Column, ...]:
    """Choose the columns that have values and fit beside the whole identifier; first those that it does not contain.

    A truncated name lacks the tile, so a narrow terminal shows fewer columns rather than shorter names.
    """
    left = math.inf if width is None else width - sum(len(_GAP) + column.width for column in lead) - identifier
    chosen = set()
    for column in _BY_WEIGHT:
        tells = any(column.cell(product) != _UNKNOWN for product in first)
        if tells and len(_GAP) + column.width <= left:
            left -= len(_GAP) + column.width
            chosen.add(column)
    return tuple(column for column in _DETAILS if column in chosen)


def _room_for_identifier(width: int | None, others: Iterable[_Column]) -> int | None:
    """Return the columns of the terminal left for the identifier; None when there is no limit."""
    if width is None:
        return None
    return max(_NARROWEST_IDENTIFIER, width - sum(len(_GAP) + column.width for column in others))


def _start(product: Product) -> str:
    start = product.raw.start or _UNKNOWN
    return start if len(start) <= len("2021-09-24T16:30:21") else f"{start[:19]}Z"


def _cloud(product: Product) -> str:
    return _UNKNOWN if product.cloud_cover is None else f"{product.cloud_cover:.1f}"


def _orbit(product: Product) -> str:
    direction = (product.orbit_direction or "").upper().removesuffix("ENDING")
    number = "" if product.orbit_number is None else str(product.orbit_number)
    return f"{direction} {number}".strip() or _UNKNOWN


def _size(product: Product) -> str:
    return _UNKNOWN if product.size is None else format_bytes(product.size)


def _wanted(product: Product) -> str:
    return _UNKNOWN if product.wanted is None else format_bytes(product.wanted)


def _overlap(product: Product) -> str:
    return _UNKNOWN if product.overlap is None else f"{product.overlap:.1f}"


_START = _Column("sensing start", "<20", _start)
_CLOUD = _Column("cloud %", ">7", _cloud)
_ORBIT = _Column("orbit", "<8", _orbit)
_OVERLAP = _Column("area %", ">6", _overlap)
_SIZE = _Column("size", ">8", _size)
_WANTED = _Column("wanted", ">8", _wanted)

_DETAILS: tuple[_Column, ...] = (_START, _CLOUD, _ORBIT, _OVERLAP, _WANTED, _SIZE)
_BY_WEIGHT: tuple[_Column, ...] = (_WANTED, _CLOUD, _OVERLAP, _SIZE, _ORBIT, _START)
