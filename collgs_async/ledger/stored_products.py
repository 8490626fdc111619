"""Keep a product in the ledger as compact JSON, with all that a later download needs of it."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from collgs_async.ledger.times import from_ms, to_ms
from collgs_async.ledger.values import as_text
from collgs_async.models.product import Product, RawTimes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["pack", "unpack"]

_LEFT_OUT: Final = frozenset({"identifier", "overlap", "wanted", "problem", "raw"})
"""Fields that a run finds out anew, or that are kept in another place."""

_DATES: Final = ("created", "updated", "available")
_FIELDS: Final = tuple(one.name for one in fields(Product) if one.name not in _LEFT_OUT)
_DEFAULTS: Final[Mapping[str, object]] = {one.name: one.default for one in fields(Product)}


def pack(product: Product) -> bytes:
    """Return a product as deflated JSON, without its name: the ledger has a column for that."""
    values = {name: value for name in _FIELDS if (value := getattr(product, name)) != _DEFAULTS[name]}
    for name in _DATES:
        if name in values:
            values[name] = to_ms(values[name])
    if product.raw != RawTimes():
        values["raw"] = [product.raw.start, product.raw.end]
    if product.problem is not None and product.url is None:
        values["problem"] = product.problem
    if as_text(product.identifier) != product.identifier:
        values["identifier"] = product.identifier
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return zlib.compress(text.encode("ascii"), 6)


def unpack(identifier: str, packed: bytes) -> Product:
    """Return the product of `pack`; fields of a later version are left out.

    Raises
    ------
    ValueError
        It is damaged.
    """
    try:
        read = json.loads(zlib.decompress(packed))
    except zlib.error as error:
        raise ValueError(f"{identifier}: {error}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{identifier}: expected an object")  # noqa: TRY004  (one error for all that is damaged)
    values: dict[str, Any] = {name: value for name, value in read.items() if name in _DEFAULTS}
    for name in _DATES:
        if values.get(name) is not None:
            values[name] = from_ms(values[name])
    values["raw"] = RawTimes(*values["raw"]) if "raw" in values else RawTimes()
    values["alternatives"] = tuple(values.get("alternatives", ()))
    return Product(**{"identifier": identifier, "url": None, **values})
