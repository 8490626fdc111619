"""One table of everything that can be set: its key in the file, its flag, its variable, its words.

The command line, the environment and the messages about wrong values are all made from this table, so that a new
setting is one new line here and one field in `config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from collgs_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPTIONS", "Option", "env_name", "search_parameter"]


Group: TypeAlias = Literal["selection", "output", "transfer", "connection"]
"""The headings of the help."""


def _as_written(words: str) -> object:
    return words


def _yes_or_no(words: str) -> object:
    """Read a switch; words that are neither stay as they are, for the configuration to refuse."""
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(
        words.strip().lower(), words
    )


def _interval(words: str) -> object:
    """Read MIN,MAX as the closed interval that is meant; without brackets the catalogue reads "MIN or MAX"."""
    bare = "," in words and not set("[]") & set(words)
    return f"[{words}]" if bare else words


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, wherever it comes from.

    Attributes
    ----------
    key
        Its dotted path in the configuration, such as ``download_options.chunk_size``.
    flag
        Its name on the command line, such as ``--chunk-size``; a switch also has a ``--no-`` form.
    metavar
        What stands for its value in the help; empty for a switch.
    help
        What it is for, in one line.
    expected
        What a right value looks like, for messages: ``a whole number from 1 to 64``.
    group
        The heading of the help under which it stands.
    default
        What holds when nobody says otherwise; None: nothing, or no limit.
    switch
        Whether it is on or off and takes no value on the command line.
    choices
        The only values there are; empty: many.
    read
        How words of the command line or the environment become the value that a file would hold.
    """

    key: str
    flag: str
    metavar: str
    help: str
    expected: str
    group: Group
    default: str | float | bool | None = None
    switch: bool = False
    choices: tuple[str, ...] = ()
    read: Callable[[str], object] = _as_written


def _switch(key: str, flag: str, help: str, group: Group, *, default: bool) -> Option:  # noqa: A002  (as the field)
    return Option(key, flag, "", help, "true or false", group, default, switch=True, read=_yes_or_no)


OPTIONS: tuple[Option, ...] = (
    Option(
        key="parameters.parentIdentifier",
        flag="--collection",
        metavar="NAME",
        help="the collection to search, such as S2_MSIL1C",
        expected="a collection such as S2_MSIL1C",
        group="selection",
    ),
    Option(
        key="parameters.box",
        flag="--bbox",
        metavar="W,S,E,N",
        help="only products that meet this box, in degrees; W above E crosses the antimeridian",
        expected="four numbers W,S,E,N in degrees",
        group="selection",
    ),
    Option(
        key="parameters.timeStart",
        flag="--start",
        metavar="TIME",
        help="only products sensed at or after this date, time or day: 30d and 2w ago, yesterday, today (UTC)",
        expected="an ISO 8601 date or time such as 2025-08-26 or 2025-08-26T10:30:00Z, or 30d, 2w, yesterday, today",
        group="selection",
    ),
    Option(
        key="parameters.timeEnd",
        flag="--end",
        metavar="TIME",
        help="only products sensed at or before this time (UTC); a day means its end",
        expected="an ISO 8601 date or time such as 2025-08-26 or 2025-08-26T10:30:00Z, or 30d, 2w, yesterday, today",
        group="selection",
    ),
    Option(
        key="parameters.cloudCover",
        flag="--cloud-cover",
        metavar="MIN,MAX",
        help="only optical products with this much cloud, in percent",
        expected="an interval such as [0,20]",
        group="selection",
        read=_interval,
    ),
    Option(
        key="parameters.count",
        flag="--count",
        metavar="N",
        help="at most so many products, the newest first",
        expected="a whole number, at least 1",
        group="selection",
    ),
    Option(
        key="selection.aoi",
        flag="--aoi",
        metavar="FILE|WKT",
        help="only products whose footprint meets this area: GeoJSON, WKT, KML, GeoPackage or shapefile",
        expected="a file, WKT or a GeoJSON object",
        group="selection",
    ),
    Option(
        key="selection.min_overlap",
        flag="--min-overlap",
        metavar="PERCENT",
        help="only products that cover so much of the area",
        expected="a percentage from 0 to 100",
        group="selection",
    ),
    Option(
        key="selection.months",
        flag="--months",
        metavar="LIST",
        help="only products sensed in these months of any year, such as 5-9 or 11-2",
        expected="months from 1 to 12, such as 5-9, 11-2 or 1,5-9",
        group="selection",
    ),
    Option(
        key="selection.tile",
        flag="--tile",
        metavar="TILE,...",
        help="only products of these tiles, such as 31UGR",
        expected="tiles such as 31UGR,32ULV",
        group="selection",
    ),
    Option(
        key="selection.relative_orbit",
        flag="--relative-orbit",
        metavar="N,...",
        help="only products of these tracks",
        expected="relative orbits from 1 to 385, such as 8,108",
        group="selection",
    ),
    Option(
        key="selection.platform",
        flag="--platform",
        metavar="NAME,...",
        help="only products of these satellites, such as S2A or Sentinel-2B",
        expected="platforms such as S2A,S2B or Sentinel-2A, or a mission such as S2",
        group="selection",
    ),
    Option(
        key="selection.orbit_direction",
        flag="--orbit-direction",
        metavar="NAME",
        help="only products of ASCENDING or of DESCENDING orbits",
        expected="ASCENDING or DESCENDING",
        group="selection",
        choices=("ASCENDING", "DESCENDING"),
    ),
    Option(
        key="selection.polarisation",
        flag="--polarisation",
        metavar="LIST",
        help="only radar products with all of these channels, such as VV,VH, or of one of these codes, such as DV",
        expected="channels that one product has, such as VV or VV,VH or HH,HV, or codes such as DV,SV",
        group="selection",
    ),
    Option(
        key="selection.product_type",
        flag="--product-type",
        metavar="NAME,...",
        help="only products of these types, such as MSIL2A or GRD",
        expected="product types such as MSIL2A, GRD or OL_1_EFR",
        group="selection",
    ),
    _switch(
        key="selection.latest_baseline",
        flag="--latest-baseline",
        help="of the products of one acquisition, only those of the newest processing baseline",
        group="selection",
        default=False,
    ),
    Option(
        key="selection.best_per",
        flag="--best-per",
        metavar="GROUP",
        help="one product for each tile, day or month, or for each tile,month",
        expected="tile, day, month or several of these",
        group="selection",
    ),
    Option(
        key="selection.by",
        flag="--by",
        metavar="MERIT",
        help="what makes it the best: cloud (the least, the default) or coverage (the most of the area)",
        expected="cloud or coverage",
        group="selection",
        choices=("cloud", "coverage"),
    ),
    Option(
        key="selection.ids",
        flag="--ids",
        metavar="FILE|-",
        help="exactly the products that this file, or standard input, names, one a line",
        expected="a file with identifiers, - for standard input, or a list of identifiers",
        group="selection",
    ),
    _switch(
        key="selection.strict",
        flag="--strict",
        help="refuse search parameters that the collection does not have, rather than warn",
        group="selection",
        default=False,
    ),
    Option(
        key="output_directory",
        flag="--output",
        metavar="DIR",
        help="the folder for the archives; it is made when it is missing",
        expected="the name of a folder",
        group="output",
        default="downloads",
    ),
    _switch(
        key="download_options.skip_existing",
        flag="--skip-existing",
        help="do not fetch again what is in the folder",
        group="output",
        default=True,
    ),
    Option(
        key="download_options.verify",
        flag="--verify",
        metavar="HOW",
        help="how an archive is checked before it gets its name",
        expected="crc, structure or size",
        group="output",
        default="crc",
        choices=("crc", "structure", "size"),
    ),
    Option(
        key="download_options.workers",
        flag="--workers",
        metavar="N",
        help="how many archives are fetched at the same time",
        expected="a whole number from 1 to 64",
        group="transfer",
        default=4,
    ),
    Option(
        key="download_options.segments",
        flag="--segments",
        metavar="N",
        help="the most connections for one archive, when workers have nothing else to do",
        expected="a whole number from 1 to 64",
        group="transfer",
        default=4,
    ),
    Option(
        key="download_options.chunk_size",
        flag="--chunk-size",
        metavar="BYTES",
        help="the least that is read and written at once",
        expected="a whole number of bytes, at least 1024 and at most 67108864",
        group="transfer",
        default=65536,
    ),
    Option(
        key="download_options.limit_rate",
        flag="--limit-rate",
        metavar="RATE",
        help="at most so many bytes a second, over all archives; k, M and G count in thousands",
        expected="bytes a second such as 500k, 20M or 1G",
        group="transfer",
    ),
    Option(
        key="download_options.min_rate",
        flag="--min-rate",
        metavar="RATE",
        help="a connection that is slower than this for half a minute is made anew; bytes a second, with k, M or G",
        expected="bytes a second such as 500k, 20M or 1G",
        group="transfer",
    ),
    Option(
        key="base_url",
        flag="--base-url",
        metavar="URL",
        help="the search address of the catalogue",
        expected="an http or https address",
        group="connection",
        default="https://collgs.lu/catalog/oseo/search",
    ),
    Option(
        key="connection.download_base_url",
        flag="--download-base-url",
        metavar="URL",
        help="what relative download links start from, when it is not the catalogue's own host",
        expected="an http or https address",
        group="connection",
    ),
    Option(
        key="connection.timeout",
        flag="--timeout",
        metavar="SECONDS",
        help="how long to wait for a connection, and for the next byte; never for a whole file",
        expected="a number of seconds, more than 0",
        group="connection",
        default=120,
    ),
    Option(
        key="connection.retries",
        flag="--retries",
        metavar="N",
        help="tries in a row that bring no new byte before a product is given up; 0 and 1 both mean a single try",
        expected="a whole number, at least 0",
        group="connection",
        default=3,
    ),
    Option(
        key="connection.page_size",
        flag="--page-size",
        metavar="N",
        help="results of a search that are asked for at once, at most; a catalogue that gives fewer is asked for fewer",
        expected="a whole number from 1 to 10000",
        group="connection",
        default=100,
    ),
    Option(
        key="connection.outage",
        flag="--outage",
        metavar="TIME",
        help="how long to wait for a store or catalogue that is away altogether: seconds, or with m, h or d; 0: never",
        expected="seconds, or a number with m, h or d such as 15m; at least 0",
        group="connection",
        default=900,
    ),
    Option(
        key="connection.staging",
        flag="--staging",
        metavar="TIME",
        help="how long to wait for an archive that the store brings from tape (HTTP 202), likewise; 0: never",
        expected="seconds, or a number with m, h or d such as 2h; at least 0",
        group="connection",
        default=7200,
    ),
    Option(
        key="connection.user_agent",
        flag="--user-agent",
        metavar="TEXT",
        help="how the program names itself to the server",
        expected="printable ASCII text",
        group="connection",
        default=f"collgs-async/{__version__}",
    ),
    Option(
        key="connection.auth_hosts",
        flag="--auth-hosts",
        metavar="HOST,...",
        help="hosts that may be given the password, beside the catalogue's own and those below it",
        expected="names of hosts such as sso.example.org",
        group="connection",
    ),
    Option(
        key="connection.sign_in",
        flag="--sign-in",
        metavar="WHEN",
        help="auto: where a form is met; always: before the search, for catalogues that list more to those they know",
        expected="auto or always",
        group="connection",
        default="auto",
        choices=("auto", "always"),
    ),
    Option(
        key="connection.proxy",
        flag="--proxy",
        metavar="URL",
        help="the HTTP proxy to go through",
        expected="an http or https address",
        group="connection",
    ),
    Option(
        key="connection.ca_file",
        flag="--ca-file",
        metavar="FILE",
        help="certificates to trust instead of the system's, in PEM format",
        expected="an existing file",
        group="connection",
    ),
)


def env_name(option: Option) -> str:
    """Name the environment variable of an option: ``--chunk-size`` has ``COLLGS_CHUNK_SIZE``."""
    return "COLLGS_" + option.flag.removeprefix("--").replace("-", "_").upper()


def search_parameter(words: str) -> tuple[str, str]:
    """Split the KEY=VALUE of ``--set``; the value may hold further equals signs, or be empty.

    Raises
    ------
    ValueError
        When there is no equals sign, or no key before it.
    """
    key, equals, value = words.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"expected KEY=VALUE, found {words!r}")
    return key.strip(), value
