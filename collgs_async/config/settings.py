"""All settings, one row each.

A row is a field of a section: its flag, the placeholder for its value in the help, the valid values, the default, and
its purpose. A new setting is a new row. The formatter is off there, since it would make seven lines of each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from collgs_async.config import kinds
from collgs_async.config.connection import PROJECT_URL, Connection
from collgs_async.config.download_options import DownloadOptions
from collgs_async.config.keep_options import KeepOptions
from collgs_async.config.options import GROUPS, Option, Section, part, setting
from collgs_async.config.parts_options import PartsOptions
from collgs_async.config.paths import read_path
from collgs_async.config.selection_kinds import AREA, BEST_PER, IDENTIFIERS, INTERVAL, SEARCH_VALUE, SHARD, criterion
from collgs_async.errors import ConfigError
from collgs_async.models.band_words import wish_problems
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.query import (
    NO_COLLECTION,
    Query,
    canonical_parameter,
    given_names,
    names_collection,
)
from collgs_async.models.store_url import StoreUrl

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from collgs_async.models.criteria import BestOf, Criteria
    from collgs_async.models.shard import Shard

__all__ = [
    "BY_KEY",
    "KNOWN_KEYS",
    "OPTIONS",
    "PROJECT_URL",
    "Config",
    "Connection",
    "DownloadOptions",
    "KeepOptions",
    "PartsOptions",
    "Selection",
]

_Words: TypeAlias = str | tuple[str, ...] | None


@dataclass(frozen=True, init=False, repr=False)
class Selection(Section):
    """Criteria for the products of a search. Lists may be given as text with commas.

    An area is a file name, WKT, GeoJSON, or any object with ``__geo_interface__``: a shape of shapely, a GeoDataFrame,
    whose ``crs`` is honoured, or a row of one. ``by`` is the criterion for the best of the groups in ``best_per``: None
    stands for ``cloud``, the least; ``coverage`` is the most of the area.
    """

    prefix = "selection."
    group = "selection"

    # fmt: off
    aoi: str | Path | dict[str, Any] | None = setting("--aoi", "FILE|WKT", AREA, default=None,
        help="only products whose footprint meets this area: GeoJSON, WKT, KML, GeoPackage or shapefile")
    min_overlap: float | None = setting("--min-overlap", "PERCENT", kinds.PERCENT, default=None,
        help="only products that cover so much of the area")
    months: _Words = setting("--months", "LIST",
        criterion("months", "months from 1 to 12, such as 5-9, 11-2 or 1,5-9"), default=None,
        help="only products sensed in these months of any year, such as 5-9 or 11-2")
    tile: _Words = setting("--tile", "TILE,...", criterion("tile", "tiles such as 31UGR,32ULV"), default=None,
        help="only products of these tiles, such as 31UGR")
    relative_orbit: _Words = setting("--relative-orbit", "N,...",
        criterion("relative_orbit", "relative orbits from 1 to 385, such as 8,108"), default=None,
        help="only products of these tracks")
    platform: _Words = setting("--platform", "NAME,...",
        criterion("platform", "platforms such as S2A,S2B or Sentinel-2A, or a mission such as S2"), default=None,
        help="only products of these satellites, such as S2A or Sentinel-2B")
    orbit_direction: _Words = setting("--orbit-direction", "",
        criterion("orbit_direction", "ASCENDING or DESCENDING", "ASCENDING", "DESCENDING"), default=None,
        help="only products of ASCENDING or of DESCENDING orbits")
    polarisation: _Words = setting("--polarisation", "LIST",
        criterion("polarisation",
            "channels that one product has, such as VV or VV,VH or HH,HV, or codes such as DV,SV"), default=None,
        help="only radar products with all of these channels, such as VV,VH, or of one of these codes, such as DV")
    product_type: _Words = setting("--product-type", "NAME,...",
        criterion("product_type", "product types such as MSIL2A, GRD or OL_1_EFR"), default=None,
        help="only products of these types, such as MSIL2A or GRD")
    latest_baseline: bool = setting("--latest-baseline", "", kinds.SWITCH, default=False,
        help="of the products of one acquisition, only those of the newest processing baseline")
    best_per: _Words = setting("--best-per", "GROUP", BEST_PER, default=None,
        help="one product for each tile, day or month, or for each tile,month")
    by: Literal["cloud", "coverage"] | None = setting("--by", "",
        kinds.one_of("cloud", "coverage", any_case=True), default=None,
        help="what makes it the best: cloud (the least, the default) or coverage (the most of the area)")
    ids: str | Path | tuple[str, ...] | None = setting("--ids", "FILE|-", IDENTIFIERS, default=None,
        help="exactly the products that this file, or standard input, names, one a line")
    shard: Shard | None = setting("--shard", "I/N", SHARD, default=None,
        help="of all that is selected, only the I-th of N parts, such as 2/8, for as many machines")
    strict: bool = setting("--strict", "", kinds.SWITCH, default=False,
        help="refuse search parameters that the collection does not have, rather than warn")
    # fmt: on

    def _contradictions(self) -> Iterator[str]:
        if self.min_overlap is not None and self.aoi is None:
            yield "selection.min_overlap: expected an area (aoi) beside it, found none"
        if self.by is not None and self.best_per is None:
            yield "selection.by: expected what the best is wanted of (best_per) beside it, found none"
        elif self.by == "coverage" and self.aoi is None:
            yield "selection.by: expected an area (aoi) to choose by coverage, found none"

    def conflicts(self, parameters: Container[str]) -> Iterator[str]:
        """Yield errors for criteria that a search parameter of the catalogue sets as well."""
        for name, twin in {"aoi": "geometry", "ids": "identifier", "orbit_direction": "orbitDirection"}.items():
            if getattr(self, name) is not None and twin in parameters:
                yield f"selection.{name}: expected no parameters.{twin} beside it, found one"

    @cached_property
    def criteria(self) -> Criteria:
        """The required properties of a product."""
        from collgs_async.models.criteria import CRITERIA_KEYS, Criteria

        return Criteria.parse({name: value for name in CRITERIA_KEYS if (value := getattr(self, name))})

    @cached_property
    def best(self) -> BestOf | None:
        """The grouping for the best products; None: all are kept."""
        from collgs_async.models.criteria import BestOf

        if not self.best_per:
            return None
        return BestOf.parse(
            self.best_per if isinstance(self.best_per, str) else ",".join(self.best_per), self.by or "cloud"
        )

    @property
    def is_selective(self) -> bool:
        """Whether any product of a search may be excluded."""
        return bool(self.local_filters or self.ids)

    @property
    def local_filters(self) -> tuple[str, ...]:
        """The fields that are checked locally, in the order of the checks."""
        from collgs_async.models.criteria import CRITERIA_KEYS

        names = (*CRITERIA_KEYS, "aoi", "min_overlap", "latest_baseline", "best_per")
        return tuple(name for name in names if getattr(self, name) not in (None, False, "", ()))

    def to_dict(self) -> dict[str, Any]:
        """Return the values that differ from their defaults, as in a configuration file."""
        from collgs_async.models.shard import Shard

        written = {one.name: value for one, value in self._changed()}
        return {
            name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path | Shard) else value
            for name, value in written.items()
        }


def _read_parameters(value: object) -> dict[str, Any]:
    """Validate the search parameters, and keep them as written; the collection may be missing."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError
    parameters = dict(value)
    try:
        Query.parse(parameters)
    except ConfigError as error:
        is_null = any(
            canonical_parameter(name) == "parentIdentifier" and item is None for name, item in parameters.items()
        )
        if problems := [line for line in error.problems if line != NO_COLLECTION or is_null]:
            raise ConfigError(problems) from None
    return parameters


@dataclass(frozen=True, init=False, repr=False)
class Config(Section):
    """All settings of a run, validated.

    Each invalid value has a line that begins with its key: ``download_options.workers: expected ..., found ...``.

    Attributes
    ----------
    parameters
        The search parameters as written by the user; `query` is their interpretation. Without a collection: no search.
    selection, parts, keep, connection, download_options
        The sections of these names, which may be given as mappings.
    """

    group = "output"

    # fmt: off
    base_url: str = setting("--base-url", "URL",
        kinds.BARE_ADDRESS, default="https://collgs.lu/catalog/oseo/search", group="connection",
        help="the search address of the catalogue")
    parameters: dict[str, Any] = field(
        default_factory=dict, metadata={"kind": kinds.Kind("an object", _read_parameters)}
    )
    output_directory: Path | StoreUrl = setting("--output", "DIR|URL", kinds.FOLDER_OR_STORE, default=Path("downloads"),
        short="-o", help="the folder for the archives, made when it is missing, or an object store: s3://bucket/prefix")
    endpoint_url: str | None = setting("--endpoint-url", "URL", kinds.ENDPOINT, default=None,
        help="the address of that object store, when it is not the cloud's own (default: AWS_ENDPOINT_URL_S3 or "
        "AWS_ENDPOINT_URL)")
    spool: Path | None = setting("--spool", "DIR", kinds.FOLDER, default=None,
        help="the folder where archives stay until that object store has them (default: one in the folder for "
        "temporary files, the same in each run)")
    selection: Selection = part(Selection)
    parts: PartsOptions = part(PartsOptions)
    keep: KeepOptions = part(KeepOptions)
    connection: Connection = part(Connection)
    download_options: DownloadOptions = part(DownloadOptions)
    # fmt: on

    def _contradictions(self) -> Iterator[str]:
        yield from self.selection.conflicts(given_names(self.parameters))
        for name, problem in wish_problems(self.parts.wish, [self.query.collection] if self.query else []):
            yield f"parts.{name}: {problem}"
        if self.store_url is not None:
            from collgs_async.config.store_limits import store_limits  # deferred: few runs need it

            yield from store_limits(self.store_url, self.parts, self.keep)

    @classmethod
    def from_file(cls, path: str | Path) -> Config:
        """Read a JSON file only, without environment and flags.

        Raises
        ------
        ConfigError
            The file cannot be read, is not a JSON object, or has invalid values; each line begins with its name.
        """
        from collgs_async.config.loading import load_config

        try:
            file = read_path(path)
        except ValueError as error:
            raise ConfigError(str(error) or f"expected the name of a file, found {quote_value(str(path))}") from None
        return load_config(file, environ={}, flags={}, needs_collection=False)

    @classmethod
    def create(cls, **settings: Any) -> Config:
        """Create a configuration from settings by name, whatever their section.

        Parameters
        ----------
        **settings
            By the last part of their key, such as ``workers`` or ``output_directory``; the search parameters
            ``collection``, ``bbox``, ``start``, ``end``, ``cloud_cover`` and ``count`` are those of `Query.create`.
            A whole section is accepted as well, such as ``parameters`` or ``selection``, but no setting beside its
            section.

        Raises
        ------
        ConfigError
            With one line per unknown name or invalid value, beginning with the name: ``workers: expected ..., found
            ...``.
        """
        from collgs_async.config.loading import config_from_keywords

        return config_from_keywords(settings)

    @cached_property
    def query(self) -> Query | None:
        """The query of the search parameters; None when they name no collection."""
        return Query.parse(self.parameters) if names_collection(self.parameters) else None

    def needed_query(self) -> Query:
        """Return `query`, where one is required.

        Raises
        ------
        ConfigError
            The search parameters name no collection.
        """
        if self.query is None:
            raise ConfigError(NO_COLLECTION)
        return self.query

    @property
    def store_url(self) -> StoreUrl | None:
        """The object store for the archives; None: they are for a folder."""
        return self.output_directory if isinstance(self.output_directory, StoreUrl) else None

    @cached_property
    def folder(self) -> Path:
        """The folder for the archives; with an object store, that in which they stay until the store has them."""
        if isinstance(self.output_directory, Path):
            return self.output_directory
        if self.spool is not None:
            return self.spool
        from collgs_async.config.store_limits import default_spool

        return default_spool(self.output_directory)

    @property
    def destination(self) -> str:
        """Where archives go, for reports: the absolute path of the folder, or the URL of the object store."""
        return str(self.store_url or self.folder.absolute())

    def needed_folder(self, what: str, instead: str) -> Path:
        """Return the folder for the archives, where an object store does not do.

        Parameters
        ----------
        what
            What needs a folder, such as a command.
        instead
            What can be done with an object store instead.

        Raises
        ------
        ConfigError
            Archives are for an object store.
        """
        if self.store_url is not None:
            raise ConfigError(
                f"{what}: expected a folder in --output (output_directory), found {self.store_url}; {instead}"
            )
        return self.folder

    @property
    def download_base(self) -> str:
        """The base of relative download links; it ends with a slash."""
        parts = urlsplit(self.base_url)
        base = self.connection.download_base_url or f"{parts.scheme}://{parts.netloc}"
        return base.rstrip("/") + "/"


# fmt: off
PARAMETERS = (
    Option("parameters.parentIdentifier", "--collection", "NAME", SEARCH_VALUE,
        group="selection", help="the collection to search, such as S2_MSIL1C"),
    Option("parameters.box", "--bbox", "W,S,E,N", SEARCH_VALUE,
        group="selection", help="only products that meet this box, in degrees; W above E crosses the antimeridian"),
    Option("parameters.timeStart", "--start", "TIME", SEARCH_VALUE, group="selection",
        help="only products sensed at or after this date, time or day: 30d and 2w ago, yesterday, today (UTC)"),
    Option("parameters.timeEnd", "--end", "TIME", SEARCH_VALUE, group="selection",
        help="only products sensed at or before this time (UTC); a day means its end"),
    Option("parameters.cloudCover", "--cloud-cover", "MAX|MIN,MAX", INTERVAL,
        group="selection", help="only optical products with at most, or from to, this much cloud in percent"),
    Option("parameters.count", "--count", "N", SEARCH_VALUE,
        group="selection", short="-n", help="at most so many products, the newest first"),
)
# fmt: on
"""Search parameters of the catalogue that have a flag; `Query` validates them."""

_ALL = (
    *PARAMETERS,
    *(
        row
        for section in (Selection, PartsOptions, Config, KeepOptions, DownloadOptions, Connection)
        for row in section.options()
    ),
)
OPTIONS: tuple[Option, ...] = tuple(sorted(_ALL, key=lambda option: GROUPS.index(option.group)))
"""All settings that have a flag, in the order of the help."""

BY_KEY = {option.key: option for option in OPTIONS}
KNOWN_KEYS = {
    "concurrent_downloads": "download_options.workers",
    "max_workers": "download_options.workers",
    "max_retries": "connection.retries",
    "output_dir": "output_directory",
    **{option.flag.removeprefix("--").replace("-", "_"): option.key for option in OPTIONS},
    **{key.rpartition(".")[2]: key for key in BY_KEY},
    **{section: section for section in ("parameters", "selection", "parts", "keep", "connection", "download_options")},
}
"""Suggestions for unknown keys: names in old samples, names of flags, and the current ones."""
