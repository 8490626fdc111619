"""A product, and the outcome of its download."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.text import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collgs_async.errors import ProductError

__all__ = ["ELSEWHERE", "EXISTS", "Outcome", "Product", "RawTimes", "Status", "read_time"]


def read_time(text: str | None) -> datetime | None:
    """Parse a time as catalogues write it (ISO 8601), in UTC; without an offset it is UTC, and None when invalid."""
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class RawTimes:
    """Sensing times as the catalogue wrote them.

    Attributes
    ----------
    start, end
        Usually ISO 8601, and any text when the catalogue is wrong; None when the entry has none.
    """

    start: str | None = None
    end: str | None = None


_NO_TIMES: Final = RawTimes()


@dataclass(frozen=True, slots=True, repr=False)
class Product:
    """One entry of the catalogue, whose archive is one ZIP file; it can be a member of sets, and be pickled.

    Attributes
    ----------
    identifier
        The product's name, such as ``S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718``.
    url
        The archive's URL; None when the entry has no supported link.
    collection
        The collection's name; None when unknown.
    raw
        The sensing times as the catalogue wrote them; `sensing_start` and `sensing_end` are their meaning.
    footprint
        The GeoJSON geometry (RFC 7946, longitude before latitude); None when the entry has none.
    cloud_cover
        Percent; None when unknown or meaningless, as for radar.
    orbit_direction
        ``ASCENDING`` or ``DESCENDING``; None when unknown.
    orbit_number
        As the catalogue states it (CollGS seems to state the relative orbit); None when unknown.
    platform
        Such as ``Sentinel-2A``; None when unknown.
    size
        Length of the archive in bytes; None, the usual case, when the catalogue does not announce it.
    quicklook
        URL of a small preview image; None when the entry has none.
    problem
        Why the product cannot be fetched: why there is no ``url``, or that another product has its name; None when it
        can.
    overlap
        Percentage of the area of interest covered by the footprint; None without an area, or when unknown.
    alternatives
        Further URLs of the archive, in the order in which they are tried after ``url``.
    product_type, polarisation, tile, relative_orbit
        As in the entry, such as ``S2MSI2A``, ``VV,VH``, ``31UGR``, 8; None when unknown.
    wanted
        Bytes of the archive that the wanted members take, where only some are wanted and the store was asked; None
        otherwise.
    created, updated, available
        When the catalogue says that the product was made, its entry last changed, and the product published: aware, in
        UTC; None when it does not say, which is common. Plans and listings leave them out.
    """

    identifier: str
    url: str | None
    collection: str | None = None
    raw: RawTimes = _NO_TIMES
    footprint: dict[str, Any] | None = field(default=None, hash=False)
    cloud_cover: float | None = None
    orbit_direction: str | None = None
    orbit_number: int | None = None
    platform: str | None = None
    size: int | None = None
    quicklook: str | None = None
    problem: str | None = None
    overlap: float | None = None
    alternatives: tuple[str, ...] = ()
    product_type: str | None = None
    polarisation: str | None = None
    tile: str | None = None
    relative_orbit: int | None = None
    wanted: int | None = None
    created: datetime | None = None
    updated: datetime | None = None
    available: datetime | None = None

    @property
    def sensing_start(self) -> datetime | None:
        """When sensing began: aware, in UTC; None when unknown, or when the catalogue's text is no time."""
        return read_time(self.raw.start)

    @property
    def sensing_end(self) -> datetime | None:
        """When sensing ended: aware, in UTC; None when unknown, or when the catalogue's text is no time."""
        return read_time(self.raw.end)

    def bytes_to_move(self, *, is_part: bool) -> int | None:
        """Return how many bytes its download moves: of its wanted members, or of the whole archive; None if unknown."""
        return self.wanted if is_part else self.size

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name, for a table in Python: times are datetimes, and `raw` is left out."""
        times = {"sensing_start": self.sensing_start, "sensing_end": self.sensing_end}
        return _replaced(self, times)

    def to_record(self) -> dict[str, Any]:
        """Return the fields by the names of plans and listings: `start` and `end` as the catalogue wrote them."""
        record = _replaced(self, {"start": self.raw.start, "end": self.raw.end})
        for name in _NOT_RECORDED:
            del record[name]
        return record

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """A GeoJSON feature, by the name that shapely, geopandas and others look for; see `Products.to_geojson`."""
        from collgs_async.models.geojson import feature

        return feature(self)

    def to_stac(self) -> dict[str, Any]:
        """Return a STAC 1.1.0 item, such as ``pystac.Item.from_dict`` reads.

        The archive is the asset ``data``, the preview the asset ``thumbnail``. Extensions (eo, file, grid, sar, sat)
        are there where their facts are known, from the name or the entry. The footprint is cut at the antimeridian (RFC
        7946 §3.1.9).

        Raises
        ------
        ValueError
            Neither name nor entry has a sensing time, which STAC requires.
        """
        from collgs_async.models.stac import stac_item

        return stac_item(self)

    def __repr__(self) -> str:
        return f"Product({self.identifier!r})"

    @property
    def is_twin(self) -> bool:
        """Whether another product has the same name, so that no file name is left for this one."""
        return self.url is not None and self.problem is not None


def _replaced(product: Product, times: Mapping[str, object]) -> dict[str, Any]:
    """Return the fields of a product in order, with its times in the place of `raw`."""
    record: dict[str, Any] = {}
    for name in _FIELDS:
        record |= times if name == "raw" else {name: getattr(product, name)}
    return record


_FIELDS: Final = tuple(one.name for one in fields(Product))

_NOT_RECORDED: Final = ("created", "updated", "available")
"""Fields that no plan has: older releases refuse a plan with an unknown key."""

EXISTS: Final = "exists"
"""Reason for skipping a product: its archive is complete."""

ELSEWHERE: Final = "elsewhere"
"""Reason for skipping a product: another run is fetching it, so it is not complete here."""


class Status(StrEnum):
    """The result of a download."""

    DOWNLOADED = "downloaded"
    """The archive was fetched, verified and published in this run."""

    SKIPPED = "skipped"
    """It was not fetched, for the reason stated; usually it is complete already."""

    FAILED = "failed"
    """The archive is missing; the error says why."""


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """The outcome of one product.

    Attributes
    ----------
    path
        The verified archive, or the folder with its wanted members; None when the product failed, or the archive is in
        an object store.
    bytes
        Archive bytes transferred for it in this run, repeated ones included.
    seconds
        From the start of its processing to its outcome.
    attempts
        Requests for the archive; 0 when none was needed.
    reason
        Why it was skipped, such as ``"exists"``; None otherwise.
    error
        Why it failed; None otherwise.
    members
        Number of its members that were wanted and are here, in the folder `path`; None for a whole archive.
    size, etag, last_modified
        Length in bytes, entity tag with its quotes, and Last-Modified of the archive at the store, as its answers of
        this run stated them (RFC 9110 §8.8); None where it was not asked, or did not state them.
    place
        Where the archive is: its path, or its URL in an object store; None when the product failed.
    """

    product: Product
    status: Status
    path: Path | None = None
    bytes: int = 0
    seconds: float = 0.0
    attempts: int = 0
    reason: str | None = None
    error: ProductError | None = None
    members: int | None = None
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    place: str | None = None

    def __post_init__(self) -> None:
        if self.place is None and self.path is not None:
            object.__setattr__(self, "place", str(self.path))

    def checksum(self, algorithm: str = "sha256") -> str:
        """Return the digest of the archive in hexadecimal digits; the file is read for it now, once.

        Those of the members in a folder are in its ``parts.json``.

        Parameters
        ----------
        algorithm
            A name that `hashlib` knows.

        Raises
        ------
        ValueError
            The product failed, or only members of it were wanted, so there is no archive; or it is in an object store.
        OSError
            The archive cannot be read, or has gone.
        """
        import hashlib

        if self.path is None and self.place is not None:
            raise ValueError(f"{self.place} is in an object store, and not read from there for a checksum")
        if self.path is None:
            raise ValueError(f"{self.product.identifier} has no archive: {self.error}")
        if self.path.is_dir():
            raise ValueError(
                f"{self.path} is a folder with members of the archive, not the archive; its parts.json has the SHA-256 "
                "of each"
            )
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()

    @property
    def _facts(self) -> dict[str, object]:
        moved = f"{format_bytes(self.bytes)} in {format_duration(self.seconds)}" if self.bytes else None
        return {
            "status": str(self.status),
            "why": self.reason if self.error is None else f"{type(self.error).__name__}: {self.error}",
            "path": self.place,
            "members": self.members,
            "moved": moved,
            "requests": self.attempts or None,
        }

    def __repr__(self) -> str:
        shown = "".join(f", {name}={str(value)!r}" for name, value in self._facts.items() if value is not None)
        return f"Outcome({self.product.identifier!r}{shown})"

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        from collgs_async.models.tables import facts_table

        return facts_table(self.product.identifier, self._facts)
