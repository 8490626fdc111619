"""Plans: a selection of products, and the file it is saved in.

The file has one product per line, in an order independent of the catalogue's, so that two plans can be compared by
line. It has no local paths and no passwords.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from collgs_async.config.json_file import read_object
from collgs_async.errors import ConfigError, StorageError
from collgs_async.http.messages import json_text
from collgs_async.models.product import Product, RawTimes, read_time
from collgs_async.models.query import Query
from collgs_async.models.text import format_bytes, plural
from collgs_async.models.wish import Wish
from collgs_async.selection.bands import check_wish
from collgs_async.selection.packed import Packed, Packer
from collgs_async.selection.plan_form import FORMAT, LISTS, VERSION, CheckedItems, check_form
from collgs_async.storage.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from collgs_async.selection.filters import Excluded

__all__ = ["MISSING", "TWIN", "Plan", "PlanExclusion", "plan_schema"]

MISSING: Final = "not in the catalogue"
"""The kind of exclusion for identifiers that the catalogue does not list."""

TWIN: Final = "with the name of another product"
"""The kind of exclusion for products whose name another product has as well."""

MAX_BYTES: Final = 2_000_000_000
"""Limit in bytes of a file; a plan of a million products has some 800 million."""

_SHOWN: Final = 10
"""Rows of a table in a notebook."""

_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlanExclusion:
    """A product that the search found and the selection excluded.

    Attributes
    ----------
    reason
        A full description of the reason.
    kind
        The short reason under which it is counted, such as ``older baseline``.
    """

    identifier: str
    reason: str
    kind: str = ""

    @classmethod
    def of(cls, excluded: Excluded) -> Self:
        """Return what a plan keeps of an excluded product."""
        return cls(excluded.product.identifier, excluded.reason, excluded.kind)


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """The products to download, as selected at some time; a notebook displays the first ones as a table.

    ``Products(plan.products)`` has them on a map, too.

    Attributes
    ----------
    catalogue
        The search address of the catalogue.
    parameters, selection
        The query, as the sections of these names in a configuration; with absolute times and without local file names.
    products
        The products to download: the newest sensing first, then by name. Of a plan that was read from a file, they are
        held compressed, and parsed anew whenever they are asked for; of others they are a tuple.
    left_out
        The products that were excluded, by name.
    created
        The time of the search.
    wish
        Which members of each archive to download; false: all.
    """

    catalogue: str
    parameters: Mapping[str, Any]
    selection: Mapping[str, Any]
    products: Sequence[Product]
    left_out: Sequence[PlanExclusion] = ()
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    wish: Wish = field(default_factory=Wish)

    @classmethod
    def of(
        cls,
        catalogue: str,
        products: Iterable[Product],
        left_out: Iterable[PlanExclusion] = (),
        *,
        parameters: Mapping[str, Any],
        selection: Mapping[str, Any] | None = None,
        wish: Wish | None = None,
    ) -> Self:
        """Create a plan from a selection, sorted and cleaned for the file; see the attributes."""
        by_name = sorted(map(_normalise, products), key=lambda product: product.identifier)
        newest_first = sorted(by_name, key=lambda product: product.raw.start or "", reverse=True)
        unwanted = sorted(left_out, key=lambda one: (one.identifier, one.reason))
        plan = cls(catalogue, dict(parameters), dict(selection or {}), tuple(newest_first), tuple(unwanted))
        return plan if wish is None else replace(plan, wish=wish)

    @classmethod
    def from_search(
        cls,
        catalogue: str,
        found: Iterable[Product],
        left_out: Iterable[PlanExclusion],
        missing: Iterable[str],
        *,
        parameters: Mapping[str, Any],
        selection: Mapping[str, Any],
        wish: Wish | None = None,
    ) -> Self:
        """Create a plan from the results of a search: each name once, those of other products excluded.

        Parameters
        ----------
        found
            The selected products. One may come first without its link, while it is being added to the catalogue.
        missing
            Requested identifiers that the catalogue does not list.
        """
        by_name: dict[str, Product] = {}
        twins: list[PlanExclusion] = []
        for product in found:
            if product.is_twin:
                twins.append(PlanExclusion(product.identifier, product.problem or TWIN, TWIN))
            elif product.identifier not in by_name or product.url is not None:
                by_name[product.identifier] = product
        lacking = [PlanExclusion(name, "the catalogue does not list it", MISSING) for name in missing]
        unwanted = [*left_out, *twins, *lacking]
        return cls.of(catalogue, by_name.values(), unwanted, parameters=parameters, selection=selection, wish=wish)

    def with_wish(self, wish: Wish) -> Self:
        """Return the plan with another wish; without the bytes of the former one, if it differs."""
        if wish == self.wish:
            return self
        if isinstance(self.products, Packed):
            return replace(self, wish=wish, products=self.products.parsed_by(_product_without_wanted))
        return replace(self, wish=wish, products=tuple(replace(one, wanted=None) for one in self.products))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan from a file.

        Raises
        ------
        ConfigError
            In one line: the file, the place in it, what was expected there and what was found.
        """
        lists = {name: (CheckedItems(name), Packer()) for name in LISTS}
        values = read_object(path, {name: partial(_take, *into) for name, into in lists.items()}, MAX_BYTES)
        values |= {name: checked for name, (checked, _) in lists.items() if values.get(name) == []}
        products = lists["products"][1].packed(_product)
        try:
            check_form(values, products.twin)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        query = values["query"]
        try:
            collection = Query.parse(query["parameters"]).collection
        except ConfigError as error:
            raise ConfigError(f"{path}: query.{error.problems[0]}") from None
        try:
            wish = Wish.from_dict(query.get("parts", {}))
            check_wish(wish, [collection])
        except ValueError as error:
            raise ConfigError(f"{path}: query.parts.{error}") from None
        return cls(
            values["catalogue"],
            query["parameters"],
            query.get("selection", {}),
            products,
            lists["left_out"][1].packed(_exclusion),
            datetime.fromisoformat(values["created"]),
            wish,
        )

    def write(self, path: Path) -> None:
        """Write the file atomically; ``-`` is standard output.

        Raises
        ------
        StorageError
            The disk is full, or the folder is missing or read-only; an older file is then still there.
        """
        try:
            write_file(path, (text.encode("utf-8", "backslashreplace") for text in self._texts()))
        except OSError as error:
            raise StorageError(f"{path}: the plan cannot be written: {error.strerror}") from error

    def __repr__(self) -> str:
        counts = f"{plural(len(self.products), 'product')}, {len(self.left_out):,} left out"
        return f"<Plan of {counts}, {self.catalogue}, {self.created:%Y-%m-%d %H:%M} UTC>"

    def _repr_html_(self) -> str:
        """Return tables for notebooks: what was searched for, and the first products."""
        from collgs_async.models.tables import facts_table, rows_table

        reasons = Counter(one.kind or one.reason for one in self.left_out)
        known = (product.bytes_to_move(is_part=bool(self.wish)) for product in self.products)
        sizes = [size for size in known if size is not None]
        facts = {
            "catalogue": self.catalogue,
            **{str(name): value for name, value in self.parameters.items()},
            **{str(name): "an area" if name == "aoi" else value for name, value in self.selection.items()},
            "parts": str(self.wish),
            "size": f"{format_bytes(sum(sizes))} of {plural(len(sizes), 'product')}" if sizes else None,
            "left out": ", ".join(f"{count} {reason}" for reason, count in reasons.items()),
        }
        rows = [
            (one.identifier, (one.raw.start or "")[:19], "" if one.cloud_cover is None else f"{one.cloud_cover:.1f}")
            for one in self.products[:_SHOWN]
        ]
        title = f"Plan of {plural(len(self.products), 'product')}, {self.created:%Y-%m-%d %H:%M} UTC"
        heads = ("identifier", "sensing start", "cloud %")
        return facts_table(title, facts) + rows_table(heads, rows, more=len(self.products) - _SHOWN)

    def __str__(self) -> str:
        return "".join(self._texts())

    def _texts(self) -> Iterator[str]:
        yield f'{{"format": {_json(FORMAT)}, "version": {VERSION},\n'
        yield f' "created": {_json(self.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))},\n'
        yield f' "catalogue": {_json(self.catalogue)},\n'
        yield f' "query": {{"parameters": {_json(self.parameters)},\n  "selection": {_json(self.selection)}'
        yield f',\n  "parts": {_json(self.wish.as_dict())}}},\n' if self.wish else "},\n"
        yield ' "products": ['
        yield from _lines(map(_to_entry, self.products))
        yield '],\n "left_out": ['
        yield from _lines(map(asdict, self.left_out))
        yield "]}\n"


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of a plan, which is part of the package."""
    from importlib.resources import files

    text = files("collgs_async.selection").joinpath("plan.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    joint = "\n"
    for entry in entries:
        yield joint + _json(entry)
        joint = ",\n"
    if joint != "\n":
        yield "\n"


def _json(value: object) -> str:
    return json_text(value, ascii_only=False)


def _product(entry: Mapping[str, Any]) -> Product:
    """Parse a product of a validated file."""
    values = {"url": None, **entry, "alternatives": tuple(entry.get("alternatives", ()))}
    for name in ("cloud_cover", "overlap"):
        if values.get(name) is not None:
            values[name] = float(values[name])
    return _from_record(values)


def _product_without_wanted(entry: Mapping[str, Any]) -> Product:
    return replace(_product(entry), wanted=None)


def _exclusion(entry: Mapping[str, Any]) -> PlanExclusion:
    return PlanExclusion(**entry)


def _take(checked: CheckedItems, packer: Packer, item: Any, text: str) -> None:
    """Check an item of a file, and keep it if it is right, as all before it are."""
    if checked.check(item) and not checked.problem:
        packer.add(item["identifier"], text)


def _to_entry(product: Product) -> dict[str, Any]:
    """Return the known fields of a product; unknown ones are left out."""
    return {name: value for name, value in product.to_record().items() if value is not None and value != ()}


def _from_record(values: dict[str, Any]) -> Product:
    return Product(raw=RawTimes(values.pop("start", None), values.pop("end", None)), **values)


def _normalise(product: Product) -> Product:
    """Return a product as a plan has it: times in UTC, URLs without passwords, numbers that JSON can represent."""
    values = product.to_record()
    for name in ("start", "end"):
        values[name] = _utc(values[name])
    for name in ("url", "quicklook"):
        values[name] = values[name] and _USERINFO.sub(r"\1", values[name])
    values["alternatives"] = tuple(_USERINFO.sub(r"\1", url) for url in values["alternatives"])
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    values["footprint"] = _geometry(values["footprint"])
    return _from_record(values)


def _utc(written: str | None) -> str | None:
    """Write a time in UTC, to the millisecond; None when it is invalid."""
    moment = read_time(written)
    return None if moment is None else moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _geometry(footprint: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a footprint that is a serialisable GeoJSON geometry, else None; the catalogue may send anything."""
    try:
        text = _json(footprint)
    except (TypeError, ValueError, RecursionError):
        return None
    geometry = json.loads(text)
    return geometry if isinstance(geometry, dict) and isinstance(geometry.get("type"), str) else None
