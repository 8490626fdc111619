"""What is wanted of the products that a search finds."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path  # noqa: TC003  (pydantic reads it)
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from collgs_async.choosing import Best, Wishes
from collgs_async.choosing.wishes import WISHES
from collgs_async.config.checked import InvalidError, Section
from collgs_async.config.values import no_bool, read_existing_file
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collgs_async.query import Query

__all__ = ["Selection"]


def _words(value: object) -> object:
    """Take text as it is, a number for text, and a list of these; what they may say, the stages of choosing know."""
    match value:
        case None | str():
            return value
        case bool():
            raise ValueError
        case int():
            return str(value)
        case list() | tuple() if all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
            return tuple(str(item) for item in value)
    raise ValueError


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _place(value: object) -> object:
    """Take the name of a file, WKT or a GeoJSON object; it is read when it is needed."""
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, str) and (value.lstrip().startswith("{") or _is_wkt(value)):
        return value
    return read_existing_file(value)


def _is_wkt(text: str) -> bool:
    """Tell whether this may be WKT: all of it has a parenthesis. A file may too, which is seen when it is read."""
    return "(" in text and "$" not in text and not text.startswith("~")


def _list_of_products(value: object) -> object:
    """Take identifiers, or the name of a file with identifiers; it is read when it is needed."""
    if value is None or value == "-":
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return read_existing_file(value)


def _percent(value: object) -> object:
    return value.strip().removesuffix("%") if isinstance(value, str) else no_bool(value)


_Words = Annotated[str | tuple[str, ...] | None, BeforeValidator(_words)]


class Selection(Section):
    """What is wanted of the products that a search finds. Lists may be given as text with commas.

    Attributes
    ----------
    aoi
        The area of interest, which a footprint must meet: the name of a file, WKT or a GeoJSON object; None: anywhere.
    min_overlap
        Percent of the area that a footprint must cover; None: it is enough to meet it.
    months
        Of sensing, in any year, such as ``5-9`` or ``11-2``.
    tile, relative_orbit, platform, orbit_direction, polarisation, product_type
        What a product must be one of, told by its identifier or else by its entry.
    latest_baseline
        Whether of the products of one acquisition those of the newest processing baseline are wanted only.
    best_per
        ``tile``, ``day``, ``month`` or two of these of which one product each is wanted; None: all products.
    by
        What makes it the best: ``cloud`` (also when this is None) or ``coverage`` of the area.
    strict
        Whether a search parameter that the collection does not have is refused; else it is warned about.
    ids
        The identifiers of exactly the products that are wanted, or the name of a file with these (``-``: standard
        input); None: whatever the search finds.
    """

    prefix: ClassVar[str] = "selection."

    aoi: Annotated[str | Path | dict[str, Any] | None, BeforeValidator(_place)] = None
    min_overlap: Annotated[float, BeforeValidator(_percent), Field(ge=0, le=100)] | None = None
    months: _Words = None
    tile: _Words = None
    relative_orbit: _Words = None
    platform: _Words = None
    orbit_direction: _Words = None
    polarisation: _Words = None
    product_type: _Words = None
    latest_baseline: StrictBool = False
    strict: StrictBool = False
    best_per: _Words = None
    by: Annotated[Literal["cloud", "coverage"] | None, BeforeValidator(_lower)] = None
    ids: Annotated[str | Path | tuple[str, ...] | None, BeforeValidator(_list_of_products)] = None

    @model_validator(mode="after")
    def _understood(self) -> Self:
        problems: list[str] = []
        for read in (self._read_wishes, self._read_best):
            try:
                read()
            except ConfigError as error:
                problems += error.problems
        if self.min_overlap is not None and self.aoi is None:
            problems.append("selection.min_overlap: expected an area (aoi) beside it, found none")
        if self.by is not None and self.best_per is None:
            problems.append("selection.by: expected what the best is wanted of (best_per) beside it, found none")
        elif self.by == "coverage" and self.aoi is None:
            problems.append("selection.by: expected an area (aoi) to choose by coverage, found none")
        if problems:
            raise InvalidError(problems)
        return self

    @cached_property
    def wishes(self) -> Wishes:
        """What a product must be."""
        return self._read_wishes()

    @cached_property
    def best(self) -> Best | None:
        """Of which products the best is wanted; None: of none."""
        return self._read_best()

    def refuse_twins(self, query: Query) -> None:
        """Refuse a search that says by a parameter of the catalogue what is said here, too.

        Raises
        ------
        ConfigError
            With a line for each.
        """
        twins = {"aoi": "geometry", "ids": "identifier", "orbit_direction": "orbitDirection"}
        found = [
            f"selection.{name}: expected no parameters.{twin} beside it, found one"
            for name, twin in twins.items()
            if getattr(self, name) is not None and twin in query.parameters
        ]
        if found:
            raise InvalidError(found)

    @property
    def chooses(self) -> bool:
        """Whether anything that a search finds may be left out."""
        return bool(self.checked_here or self.ids)

    @property
    def checked_here(self) -> tuple[str, ...]:
        """What is checked on our side, by the names of the fields, in the order in which it is done."""
        names = (*WISHES, "aoi", "min_overlap", "latest_baseline", "best_per")
        return tuple(name for name in names if getattr(self, name) not in (None, False, "", ()))

    def _read_wishes(self) -> Wishes:
        given = {name: getattr(self, name) for name in WISHES}
        return Wishes.parse({name: value for name, value in given.items() if value != ()}, section="selection")

    def _read_best(self) -> Best | None:
        if not self.best_per:
            return None
        per = self.best_per if isinstance(self.best_per, str) else ",".join(self.best_per)
        return Best.parse(per, self.by or "cloud", section="selection")
