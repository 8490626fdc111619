"""Products, outcomes, errors and settings as plain values, for a process with another release or another Python.

Nothing of a class of this package travels, and no password: each process finds its own.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async import errors
from collgs_async.config.settings import Config, Connection, DownloadOptions, KeepOptions, PartsOptions
from collgs_async.errors import CollgsError, ProductError
from collgs_async.models.product import Outcome, Product, RawTimes, Status
from collgs_async.transfer import outage, store_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.config.options import Section

__all__ = [
    "FORMAT",
    "config_from_wire",
    "config_to_wire",
    "error_from_wire",
    "error_to_wire",
    "outcome_from_wire",
    "outcome_to_wire",
    "product_from_wire",
    "product_to_wire",
]

FORMAT: Final = 1
"""Version of all that is sent; another one is refused."""

_NOT_NEEDED: Final = {"footprint", "quicklook", "cloud_cover", "overlap"}
"""Fields of a product that no download needs, and that may be long."""

_SECTIONS: Final[dict[str, type[Section]]] = {
    "connection": Connection,
    "download_options": DownloadOptions,
    "parts": PartsOptions,
    "keep": KeepOptions,
}

_OF_THE_RUN: Final = {"engine", "max_bytes", "max_time", "until", "keep_free"}
"""Download options that hold for the whole run, and so are not known to its processes."""


def product_to_wire(product: Product) -> dict[str, Any]:
    """Return the fields of a product that its download needs, without those that have their default."""
    wire: dict[str, Any] = {}
    for one in fields(Product):
        value = getattr(product, one.name)
        if one.name not in _NOT_NEEDED and value not in (None, ()):
            wire[one.name] = _plain(value)
    return wire


def product_from_wire(wire: Mapping[str, Any]) -> Product:
    """Return the product for `product_to_wire`'s values."""
    values = {"url": None, **wire}
    values["raw"] = RawTimes(*values.get("raw", ()))
    values["alternatives"] = tuple(values.get("alternatives", ()))
    for name in ("created", "updated", "available"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    return Product(**values)


def outcome_to_wire(outcome: Outcome) -> dict[str, Any]:
    """Return the fields of an outcome but its product, without those that have their default."""
    wire: dict[str, Any] = {"status": str(outcome.status)}
    for one in fields(Outcome):
        value = getattr(outcome, one.name)
        if one.name not in {"product", "status"} and value != one.default:
            wire[one.name] = _plain(value)
    if "path" in wire:
        del wire["place"]  # that of a file follows from its path
    return wire


def outcome_from_wire(product: Product, wire: Mapping[str, Any], *, folder: Path) -> Outcome:
    """Return the outcome for `outcome_to_wire`'s values.

    Parameters
    ----------
    folder
        The output folder as the settings name it, in which the path is given.
    """
    values = dict(wire)
    values["status"] = Status(values["status"])
    if "path" in values:
        path, whole = Path(values["path"]), folder.absolute()
        values["path"] = folder / path.relative_to(whole) if path.is_relative_to(whole) else path
    if "error" in values:
        error = error_from_wire(values["error"])
        values["error"] = error if isinstance(error, ProductError) else ProductError(str(error))
    return Outcome(product, **values)


def error_to_wire(error: CollgsError) -> dict[str, Any]:
    """Return the kind and the message of an error."""
    kind = next(one.__name__ for one in type(error).__mro__ if one.__name__ in _ERRORS)
    return {"kind": kind, "message": str(error)}


def error_from_wire(wire: Mapping[str, Any]) -> CollgsError:
    """Return the error for `error_to_wire`'s values."""
    return _ERRORS.get(wire["kind"], CollgsError)(wire["message"])


def config_to_wire(config: Config) -> dict[str, Any]:
    """Return the settings that downloads need, without those that have their default; paths are absolute."""
    wire = _changed(config, {"parameters", "selection", *_SECTIONS})
    wire["output_directory"] = _plain(config.output_directory)
    for name in _SECTIONS:
        section = getattr(config, name)
        if name == "keep":
            wire[name] = {} if section.layout is None else {"layout": str(section.layout)}
        else:
            wire[name] = _changed(section, _OF_THE_RUN)
    return wire


def config_from_wire(wire: Mapping[str, Any]) -> Config:
    """Return the settings for `config_to_wire`'s values.

    Raises
    ------
    ConfigError
        A value is not valid in this process, such as a file that is missing.
    """
    return Config(**{name: _SECTIONS[name](**value) if name in _SECTIONS else value for name, value in wire.items()})


def _changed(section: Section, left_out: set[str]) -> dict[str, Any]:
    return {
        one.name: _plain(value)
        for one in fields(section)
        if one.name not in left_out and (value := getattr(section, one.name)) != one.default
    }


def _plain(value: object) -> object:
    """Return a value as text, number, truth value, list or dictionary."""
    match value:
        case None | str() | bool() | int() | float():
            return str(value) if isinstance(value, str) else value
        case Path():
            return str(value.absolute())
        case tuple() | list():
            return [_plain(one) for one in value]
        case RawTimes():
            return [value.start, value.end]
        case datetime():
            return value.isoformat()
        case CollgsError():
            return error_to_wire(value)
    return str(value)


def _known_errors() -> dict[str, type[CollgsError]]:
    """Map the names of errors to their classes: those that a caller can tell apart, and those that a report names."""
    found = (value for module in (errors, store_errors, outage) for value in vars(module).values())
    kinds = {one.__name__: one for one in found if isinstance(one, type) and issubclass(one, CollgsError)}
    del kinds["LimitReachedError"]  # its limits hold for the whole run
    return kinds


_ERRORS: Final = _known_errors()
