"""The form of a plan's file, as ``plan.schema.json`` publishes it, and the words for what is not of this form."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from yarl import URL

from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["FORMAT", "VERSION", "PlanForm", "read_form"]

FORMAT: Final = "collgs-async plan"
VERSION: Final = 1

_HTTP = re.compile(r"(?i:https?)://[^\s/?#@]+(?:[/?#]\S*)?")
_PASSWORD = re.compile(r"(://[^\s/?#:@]*:)[^\s/?#]*@")
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = re.compile(rf"{_DAY}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]{{1,6}})?Z")


def _http(value: str) -> str:
    """Refuse here what no request can be made of, such as a port that is none: in a run it would be too late."""
    host = URL(value).raw_host if _HTTP.fullmatch(value) else None
    if not host or not host.encode("idna"):
        raise ValueError
    return value


def _some_text(value: str) -> str:
    """Refuse empty text; pydantic's own check of a length would refuse odd characters of a catalogue's, too."""
    if not value:
        raise ValueError
    return value


def _moment(value: str) -> str:
    if not _MOMENT.fullmatch(value):
        raise ValueError
    datetime.fromisoformat(value)
    return value


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("type"), str):
        raise ValueError  # noqa: TRY004  (only this becomes part of a ValidationError)
    return value


def _self_contained(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse the name of a file: it would be another one on each computer."""
    if not isinstance(value.get("aoi", {}), dict) or not isinstance(value.get("ids", []), list):
        raise ValueError  # noqa: TRY004  (only this becomes part of a ValidationError)
    return value


_Text = Annotated[str, AfterValidator(_some_text)]
_Url = Annotated[str, AfterValidator(_http)]
_Moment = Annotated[str, AfterValidator(_moment)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Query(_Part):
    parameters: dict[str, Any]
    selection: Annotated[dict[str, Any], AfterValidator(_self_contained)] = {}


class _Entry(_Part):
    identifier: _Text
    url: _Url | None = None
    collection: str | None = None
    start: _Moment | None = None
    end: _Moment | None = None
    footprint: Annotated[dict[str, Any], AfterValidator(_typed)] | None = None
    cloud_cover: _Number | None = None
    orbit_direction: str | None = None
    orbit_number: int | None = None
    platform: str | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    quicklook: _Url | None = None
    problem: str | None = None
    overlap: _Number | None = None
    alternatives: list[_Url] = []
    product_type: str | None = None
    polarisation: str | None = None
    tile: str | None = None
    relative_orbit: int | None = None


class _LeftOut(_Part):
    identifier: _Text
    reason: str
    kind: str = ""


class PlanForm(_Part):
    """A whole file."""

    format: Literal["collgs-async plan"]
    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    created: _Moment
    catalogue: _Url
    query: _Query
    products: list[_Entry]
    left_out: list[_LeftOut] = []


def read_form(values: Mapping[str, Any]) -> PlanForm:
    """Check what a file holds.

    Raises
    ------
    ValueError
        With one line: the place, what was expected there and what was found.
    """
    if values.get("format") != FORMAT:
        raise ValueError("expected a plan, written by `collgs-async plan`, found another JSON file")
    version = values.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(f"version: expected {VERSION} or less, found {version}: a newer collgs-async wrote it")
    try:
        form = PlanForm.model_validate(values, strict=True)
    except ValidationError as error:
        problem: str | None = _first_problem(error.errors())
    else:
        problem = _twin([entry.identifier for entry in form.products])
    if problem:
        raise ValueError(problem)
    return form


_EXPECTED: Final = {
    **dict.fromkeys(("url", "quicklook", "catalogue"), "an http or https address without user name"),
    **dict.fromkeys(("created", "start", "end"), "a time in UTC such as 2025-08-26T10:30:00Z"),
    **dict.fromkeys(("parameters", "query"), "an object"),
    "selection": "an object, its aoi one of GeoJSON and its ids a list",
    **dict.fromkeys(("products", "left_out", "alternatives"), "a list"),
    "version": "1",
    "identifier": "the name of a product",
    "footprint": "a GeoJSON geometry",
    **dict.fromkeys(("cloud_cover", "overlap"), "a number"),
    **dict.fromkeys(("orbit_number", "relative_orbit"), "a whole number"),
    "size": "a whole number of bytes",
}


def _first_problem(details: Sequence[ErrorDetails]) -> str:
    """Say what is wrong at the first place where something is, and how much else is wrong."""
    first, more = details[0], len(details) - 1
    *_, last = first["loc"]
    place = _place(first["loc"])
    words = "an object" if isinstance(last, int) else _EXPECTED.get(str(last), "text")
    if first["type"] == "extra_forbidden":
        problem = f"{place}: unknown key"
    elif first["type"] == "missing":
        problem = f"{place}: expected {words}, found nothing"
    else:
        problem = f"{place}: expected {words}, found {_found(first['input'])}"
    return problem + (f" (and {more} more)" if more else "")


def _found(value: object) -> str:
    """Show what stands there, but never a password that an address may hold."""
    return shown(_PASSWORD.sub(r"\1***@", value) if isinstance(value, str) else value)


def _place(steps: tuple[int | str, ...]) -> str:
    """Write where something stands: ``products[3].url``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
    return text if text.isprintable() else shown(text)


def _twin(names: Sequence[str]) -> str | None:
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in seen:
            return (
                f"products[{place}].identifier: expected each product once, found {name} at products[{seen[name]}] too"
            )
        seen[name] = place
    return None
