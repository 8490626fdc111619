"""A plan, and the file that it is written to.

The file has one product a line, in an order of its own, so that two plans can be compared line by line whatever the
catalogue's order was. It holds nothing that only this computer knows, and no password.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from collgs_async.config.json_file import read_object
from collgs_async.errors import ConfigError, StorageError
from collgs_async.http.messages import json_text
from collgs_async.models.product import Product
from collgs_async.models.query import Query
from collgs_async.selection.plan_form import FORMAT, VERSION, check_form
from collgs_async.storage.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["MISSING", "TWIN", "Plan", "PlanExclusion", "plan_schema"]

MISSING: Final = "not in the catalogue"
TWIN: Final = "with the name of another product"
"""The kind of what was asked for by its identifier and not found."""

_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlanExclusion:
    """A product that the search found and the selection did not want.

    Attributes
    ----------
    identifier
        Its name.
    reason
        Why not, in words.
    kind
        Why not, in the few words under which it is counted, such as ``older baseline``.
    """

    identifier: str
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to pull, as it was chosen at some moment.

    Attributes
    ----------
    catalogue
        The search address of the catalogue that was asked.
    parameters, selection
        What it was asked for, as the sections of these names in a configuration; times are absolute, and nothing is
        named that is only on one computer.
    products
        What is to be pulled: the newest sensing first, then by name.
    left_out
        What was found and is not wanted, by name.
    created
        When the catalogue was asked.
    """

    catalogue: str
    parameters: Mapping[str, Any]
    selection: Mapping[str, Any]
    products: tuple[Product, ...]
    left_out: tuple[PlanExclusion, ...] = ()
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @classmethod
    def of(
        cls,
        catalogue: str,
        products: Iterable[Product],
        left_out: Iterable[PlanExclusion] = (),
        *,
        parameters: Mapping[str, Any],
        selection: Mapping[str, Any] | None = None,
    ) -> Self:
        """Write down what was chosen just now, in the order of a plan and without what does not belong into one.

        See the attributes for what the parameters mean.
        """
        by_name = sorted(map(_clean, products), key=lambda product: product.identifier)
        newest_first = sorted(by_name, key=lambda product: product.start or "", reverse=True)
        unwanted = sorted(left_out, key=lambda one: (one.identifier, one.reason))
        return cls(catalogue, dict(parameters), dict(selection or {}), tuple(newest_first), tuple(unwanted))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan's file.

        Raises
        ------
        ConfigError
            In one line: the file, the place in it, what was expected there and what was found.
        """
        values = read_object(path)
        try:
            check_form(values)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from None
        query = values["query"]
        try:
            Query.parse(query["parameters"])
        except ConfigError as error:
            raise ConfigError(f"{path}: query.{error.problems[0]}") from None
        return cls(
            values["catalogue"],
            query["parameters"],
            query.get("selection", {}),
            tuple(map(_product, values["products"])),
            tuple(PlanExclusion(**entry) for entry in values.get("left_out", ())),
            datetime.fromisoformat(values["created"]),
        )

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; ``-`` is standard output.

        Raises
        ------
        StorageError
            The disk is full, or the folder is missing or read-only; an older file is then still there.
        """
        try:
            write_file(path, (text.encode("utf-8", "backslashreplace") for text in self._texts()))
        except OSError as error:
            raise StorageError(f"{path}: the plan cannot be written: {error.strerror}") from error

    def __str__(self) -> str:
        return "".join(self._texts())

    def _texts(self) -> Iterator[str]:
        yield f'{{"format": {_json(FORMAT)}, "version": {VERSION},\n'
        yield f' "created": {_json(self.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))},\n'
        yield f' "catalogue": {_json(self.catalogue)},\n'
        yield f' "query": {{"parameters": {_json(self.parameters)},\n  "selection": {_json(self.selection)}}},\n'
        yield ' "products": ['
        yield from _lines(map(_known, self.products))
        yield '],\n "left_out": ['
        yield from _lines(map(asdict, self.left_out))
        yield "]}\n"


def plan_schema() -> dict[str, Any]:
    """Give the JSON Schema of a plan's file, which is part of the package."""
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


_PRODUCT_FIELDS: Final = tuple(one.name for one in fields(Product))


def _product(entry: Mapping[str, Any]) -> Product:
    """Read a product of a file that is of the right form."""
    values = {"url": None, **entry, "alternatives": tuple(entry.get("alternatives", ()))}
    for name in ("cloud_cover", "overlap"):
        if values.get(name) is not None:
            values[name] = float(values[name])
    return Product(**values)


def _known(product: Product) -> dict[str, Any]:
    """Name what is known of a product; what is not known takes no room."""
    values = {name: getattr(product, name) for name in _PRODUCT_FIELDS}
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _clean(product: Product) -> Product:
    """Give a product as a plan has it: times in UTC, addresses without passwords, numbers that JSON can hold."""
    values = {name: getattr(product, name) for name in _PRODUCT_FIELDS}
    for name in ("start", "end"):
        values[name] = _utc(values[name])
    for name in ("url", "quicklook"):
        values[name] = values[name] and _USERINFO.sub(r"\1", values[name])
    values["alternatives"] = tuple(_USERINFO.sub(r"\1", url) for url in values["alternatives"])
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    values["footprint"] = _geometry(values["footprint"])
    return Product(**values)


def _utc(written: str | None) -> str | None:
    """Write a time as the wire has it, to the millisecond, in UTC; None for what is no time."""
    try:
        moment = datetime.fromisoformat(written or "")
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _geometry(footprint: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Keep a footprint that is a GeoJSON geometry and can be written; the catalogue may send anything."""
    try:
        text = _json(footprint)
    except (TypeError, ValueError, RecursionError):
        return None
    geometry = json.loads(text)
    return geometry if isinstance(geometry, dict) and isinstance(geometry.get("type"), str) else None
