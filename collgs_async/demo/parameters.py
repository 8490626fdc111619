"""The search parameters of the catalogue: their kinds of values and their columns.

GeoServer ignores others; the columns of a deployment determine its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.dialects import Dialect

__all__ = ["Kind", "Limits", "Parameter", "known_parameters"]

Kind: TypeAlias = type[str | int | float | datetime]
_Table: TypeAlias = "Mapping[str, tuple[Kind, Callable[[Any], Any]]]"


@dataclass(frozen=True, slots=True)
class Limits:
    """Products on a page: the maximum, and the default."""

    page_maximum: int
    records_per_page: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter.

    Attributes
    ----------
    key
        Its name in a request.
    kind
        Of its values.
    prefix
        Its namespace in the echo.
    short
        Its name within that namespace where it is not the key, such as ``start`` for ``timeStart``.
    least, most
        Range of a number; None: unlimited or not stated.
    column
        Returns the value of this column for a scene or a collection: one, several, or None. None: it is not a column.
    """

    key: str
    kind: Kind = str
    prefix: str = "eo"
    short: str | None = None
    least: int | None = None
    most: int | None = None
    column: Callable[[Any], Any] | None = None

    @property
    def qualified(self) -> str:
        """Its name in templates and links: native ones have no prefix, and all of the EO ones are ``eo:``."""
        name = self.short or self.key
        if self.prefix == "os":
            return name
        return f"{self.prefix}:{name}" if self.prefix in {"geo", "time"} else f"eo:{name}"


def known_parameters(parent: str | None, limits: Limits, dialect: Dialect) -> Mapping[str, Parameter]:
    """Return the parameters of the search for collections (`parent` None) or in one of them, by key."""
    count = Parameter("count", int, "os", least=0, most=limits.page_maximum)
    known = (*_NATIVE, count, *_PLACE_AND_TIME, *_columns(parent, dialect))
    shapes = set() if dialect.geometry else {"geometry", "geoRelation"}
    return {parameter.key: parameter for parameter in known if parameter.key not in shapes}


def _columns(parent: str | None, dialect: Dialect) -> list[Parameter]:
    if parent is None:
        return _columns_of(_COLLECTION)
    columns = _columns_of(_PRODUCT)
    columns += _columns_of(_OPTICAL, "opt") if COLLECTIONS[parent].optical else _columns_of(_RADAR, "sar")
    if dialect.product_platforms:
        columns += _columns_of(_OF_ITS_COLLECTION)
    return [column for column in columns if column.key not in dialect.without_columns]


def _columns_of(table: _Table, prefix: str = "eo") -> list[Parameter]:
    return [Parameter(key, kind, prefix, column=column) for key, (kind, column) in table.items()]


_NATIVE: Final = (Parameter("searchTerms", prefix="os"), Parameter("startIndex", int, "os"))

_PLACE_AND_TIME: Final = (
    Parameter("uid", prefix="geo"),
    Parameter("box", prefix="geo"),
    Parameter("lat", float, "geo", least=-90, most=90),
    Parameter("lon", float, "geo", least=-180, most=180),
    Parameter("radius", float, "geo", least=0),
    Parameter("geometry", prefix="geo"),
    Parameter("geoRelation", prefix="geo", short="relation"),
    Parameter("timeStart", datetime, "time", "start"),
    Parameter("timeEnd", datetime, "time", "end"),
    Parameter("timeRelation", prefix="time", short="relation"),
)


_COLLECTION: Final[_Table] = {
    "identifier": (str, lambda collection: collection.identifier),
    "productType": (str, lambda collection: collection.product_type),
    "platform": (str, lambda collection: collection.platform),
    "platformSerialIdentifier": (str, lambda _: None),
    "instrument": (str, lambda collection: collection.instrument),
    "sensorType": (str, lambda collection: collection.sensor_type),
    "processingLevel": (str, lambda collection: collection.level),
    "orbitType": (str, lambda _: "LEO"),
}

_PRODUCT: Final[_Table] = {
    "identifier": (str, lambda scene: scene.identifier),
    "parentIdentifier": (str, lambda scene: scene.collection),
    "productionStatus": (str, lambda _: "ARCHIVED"),
    "acquisitionType": (str, lambda _: "NOMINAL"),
    "orbitNumber": (int, lambda scene: scene.orbit_number),
    "orbitDirection": (str, lambda scene: scene.orbit_direction),
    "productQualityStatus": (str, lambda _: "NOMINAL"),
    "creationDate": (datetime, lambda scene: scene.dates.created),
    "modificationDate": (datetime, lambda scene: scene.dates.updated),
    "availabilityTime": (datetime, lambda scene: scene.dates.available),
    "sensorMode": (str, lambda scene: COLLECTIONS[scene.collection].mode),
    "processingMode": (str, lambda _: "NOMINAL"),
}

_OPTICAL: Final[_Table] = {
    "cloudCover": (int, lambda scene: scene.cloud_cover),
    "snowCover": (int, lambda _: None),
}

_RADAR: Final[_Table] = {
    "polarisationMode": (str, lambda scene: {1: "S", 2: "D"}.get(len(scene.polarisations))),
    "polarisationChannels": (str, lambda scene: scene.polarisations),
    "antennaLookDirection": (str, lambda _: "RIGHT"),
}

_OF_ITS_COLLECTION: Final[_Table] = {
    "platform": (str, lambda scene: scene.platform),
    "platformSerialIdentifier": (str, lambda scene: scene.serial),
    "instrument": (str, lambda scene: COLLECTIONS[scene.collection].instrument),
    "sensorType": (str, lambda scene: COLLECTIONS[scene.collection].sensor_type),
    "productType": (str, lambda scene: COLLECTIONS[scene.collection].product_type),
    "processingLevel": (str, lambda scene: COLLECTIONS[scene.collection].level),
}
"""Columns that some deployments have for each product."""
