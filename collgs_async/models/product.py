"""The values that travel: a product, what became of it, and what became of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collgs_async.errors import CollgsError, ProductError

__all__ = ["ELSEWHERE", "EXISTS", "Outcome", "Product", "Report", "Status"]


@dataclass(frozen=True, slots=True)
class Product:
    """One entry of the catalogue: one ZIP archive in the store.

    Attributes
    ----------
    identifier
        The product's name, such as ``S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718``.
    url
        Where its archive is; None when the entry has no link that can be followed.
    collection
        The catalogue's name of its collection; None when the entry does not say.
    start, end
        Sensing times as the catalogue wrote them (ISO 8601, UTC); None when the entry has none.
    footprint
        The GeoJSON geometry (RFC 7946, longitude before latitude); None when the entry has none.
    cloud_cover
        Percent; None when unknown or meaningless, as for radar.
    orbit_direction
        ``ASCENDING`` or ``DESCENDING``; None when unknown.
    orbit_number
        As the catalogue gives it (CollGS seems to give the relative orbit); None when unknown.
    platform
        Such as ``Sentinel-2A``; None when unknown.
    size
        Length of the archive in bytes as the catalogue announces it; None, the usual case, when it does not.
    quicklook
        Where a small preview image is; None when the entry has none.
    problem
        Why it cannot be fetched, in words: why there is no ``url``, or that another product has its name; None when
        nothing speaks against it.
    overlap
        Percent of the area of interest that its footprint covers; None without an area, or when it is unknown.
    alternatives
        Where else its archive is, in the order in which that is tried when it cannot be had from ``url``.
    product_type, polarisation, tile, relative_orbit
        As the entry has them, such as ``S2MSI2A``, ``VV,VH``, ``31UGR``, 8; None when it does not say.
    """

    identifier: str
    url: str | None
    collection: str | None = None
    start: str | None = None
    end: str | None = None
    footprint: Mapping[str, Any] | None = None
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

    @property
    def is_twin(self) -> bool:
        """Whether another product has its name, so that it has an archive and no file to put it in."""
        return self.url is not None and self.problem is not None


EXISTS: Final = "exists"
"""Why a product is skipped: its archive is here."""

ELSEWHERE: Final = "elsewhere"
"""Why a product is skipped: another run is fetching it, so that it is not here."""


class Status(StrEnum):
    """What became of a product."""

    DOWNLOADED = "downloaded"
    """Its archive was fetched, verified and published in this run."""

    SKIPPED = "skipped"
    """It was not fetched, for the reason given; usually because it is already here."""

    FAILED = "failed"
    """It is not here; the error says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one product.

    Attributes
    ----------
    product
        The product.
    status
        Downloaded, skipped or failed.
    path
        The verified archive; None when the product failed.
    bytes
        Archive bytes that moved over the wire for it in this run, repeated ones included.
    seconds
        From the first look at the product until its outcome.
    attempts
        Requests for the archive; 0 when none was needed.
    reason
        Why it was skipped, such as ``"exists"``; None otherwise.
    error
        Why it failed; None otherwise.
    """

    product: Product
    status: Status
    path: Path | None = None
    bytes: int = 0
    seconds: float = 0.0
    attempts: int = 0
    reason: str | None = None
    error: ProductError | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a whole run.

    Outcomes of products that went well are counted, not kept, so that a report of a million products stays
    small; the file that ``--report`` names has a line for every product.

    Attributes
    ----------
    downloaded, skipped, failed
        How many products ended in each way.
    elsewhere
        How many of those that were skipped are not here, since another run was fetching them to the end.
    bytes
        Archive bytes that moved over the wire in this run.
    seconds
        Wall time of the run.
    failures
        The failed outcomes, in the order in which they failed.
    search_total
        How many products the catalogue said that it has; None when it did not say.
    search_pages
        Pages of results that were read.
    search_error
        What ended the search early; None when it came to its end.
    stopped_by
        What stopped the whole run, such as a full disk; None when nothing did.
    left_out
        How many products were found and not wanted, by reason, such as ``older baseline``.
    missing
        Identifiers that were asked for and that the catalogue does not list.
    """

    downloaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failures: tuple[Outcome, ...] = ()
    search_total: int | None = None
    search_pages: int = 0
    search_error: CollgsError | None = None
    stopped_by: CollgsError | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    elsewhere: int = 0

    @property
    def found(self) -> int:
        """Products that have an outcome."""
        return self.downloaded + self.skipped + self.failed

    @property
    def ok(self) -> bool:
        """Whether everything that was searched was found and everything that was found is here."""
        broken = self.search_error is not None or self.stopped_by is not None
        return not (self.failed or self.missing or self.elsewhere or broken)
