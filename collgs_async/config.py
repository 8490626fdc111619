"""Settings: read from flags, environment and file, checked once, never changed.

Every wrong value is named at once, with the place that it came from, before anything is touched.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from collgs_async.choosing import Best, Wishes
from collgs_async.choosing.wishes import WISHES
from collgs_async.errors import ConfigError
from collgs_async.jsonfile import read_object
from collgs_async.options import OPTIONS, Option, env_name
from collgs_async.query import Query, canonical, shown
from collgs_async.units import parse_rate
from collgs_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

__all__ = ["Config", "Connection", "DownloadOptions", "Selection", "load_config", "sample_config"]

_BY_KEY = {option.key: option for option in OPTIONS}
_CREDENTIALS = "credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD"
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_SECRETS = {"username", "user", "password", "credentials", "auth", "token"}
_MEANT = {
    "concurrent_downloads": "download_options.workers",
    "max_workers": "download_options.workers",
    "max_retries": "connection.retries",
    "output_dir": "output_directory",
    **{option.flag.removeprefix("--").replace("-", "_"): option.key for option in OPTIONS},
    **{key.rpartition(".")[2]: key for key in _BY_KEY},
    **{section: section for section in ("parameters", "selection", "connection", "download_options")},
}
"""What a key of this name most likely means: names of old samples, of flags, and the right ones."""


class _InvalidError(ConfigError, ValueError):
    """Wrong settings; a ValueError too, so that pydantic gathers it with those of the other sections."""


class _Checked(BaseModel):
    """A frozen section of the settings that names all its wrong values in one ConfigError."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    prefix: ClassVar[str] = ""

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = [line for detail in error.errors() for line in _problems(self.prefix, detail)]
            raise _InvalidError(problems) from None


def _problems(prefix: str, detail: ErrorDetails) -> Iterator[str]:
    """Say in the words of the options table what pydantic found."""
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        yield from cause.problems
        return
    key = prefix + str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        yield f"{_printable(key)}: unknown key{_hint(key)}"
    elif type(cause) is ValueError and cause.args:
        yield f"{key}: {cause}"
    else:
        expected = _BY_KEY[key].expected if key in _BY_KEY else "an object"
        yield f"{key}: expected {expected}, found {_found(key, detail['input'])}"


def _hint(key: str) -> str:
    """Name the key that was probably meant: of the same section by its last word, else with its section."""
    section, _, name = key.rpartition(".")
    if name.lower() in _SECRETS:
        return f"; {_CREDENTIALS}"
    near = difflib.get_close_matches(name, _MEANT, n=1, cutoff=0.7)
    if not near:
        return ""
    meant_section, _, meant_name = _MEANT[near[0]].rpartition(".")
    return f"; did you mean {meant_name if meant_section == section else _MEANT[near[0]]}?"


def _printable(key: str) -> str:
    return key if key.isprintable() else shown(key)


def _found(key: str, value: object) -> str:
    """Show a wrong value, but never a password that an address may hold."""
    if not key.endswith(("url", "proxy")):
        return shown(value)
    return shown(_masked(value)) if isinstance(value, str) else f"a value of type {type(value).__name__}"


def _masked(url: str) -> str:
    """Hide what stands before the host, and the values of a query, also in an address that is no right one."""
    before, at, rest = url.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    hidden = f"{scheme if slashes else ''}{slashes}***@{rest}" if at else url
    return re.sub(r"\?.*", "?…", hidden, flags=re.DOTALL)


def _no_bool(value: object) -> object:
    """Refuse true and false where a number is meant; Python would count them as 1 and 0."""
    if value is True or value is False:
        raise ValueError
    return value


def _rate(value: object) -> object:
    """Read text such as 20M; the options table has the words for what is no rate."""
    try:
        return parse_rate(value) if isinstance(value, str) else _no_bool(value)
    except ValueError:
        raise ValueError from None


def _address(value: object, key: str) -> str:
    """Check an http or https address with a host; raise ValueError, with the reason where it is a special one."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"expected {_BY_KEY[key].expected}, found {_found(key, value)}")
    return value


def _bare_address(value: object, key: str) -> str:
    """Check an address that is made longer later: nothing may stand before its host or after its path."""
    url = _address(value, key)
    found = f"found {_found(key, url)}"
    if "@" in urlsplit(url).netloc:
        raise ValueError(f"expected no user name or password ({_CREDENTIALS}), {found}")
    if "?" in url:
        raise ValueError(f"expected no query (search parameters belong under parameters), {found}")
    if "#" in url:
        raise ValueError(f"expected no fragment, {found}")
    return url


def _base_url(value: object) -> str:
    return _bare_address(value, "base_url")


def _download_base_url(value: object) -> str | None:
    return None if value is None else _bare_address(value, "connection.download_base_url")


def _proxy(value: object) -> str | None:
    return None if value is None else _address(value, "connection.proxy")


def _hosts(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [None]
    hosts = tuple(name.strip() for name in names if isinstance(name, str))
    if len(hosts) != len(names) or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError
    return hosts


def _path(value: object) -> Path:
    """Read a name that a file system can hold."""
    if not isinstance(value, str | Path) or not str(value).strip() or b"\0" in os.fsencode(value):
        raise ValueError
    return Path(value)


def _folder(value: object) -> Path:
    path = _path(value)
    try:
        blocked = path.exists() and not path.is_dir()
    except OSError as error:
        raise ValueError(f"expected the name of a folder, found {shown(str(path))}: {error.strerror}") from None
    if blocked:
        raise ValueError(f"expected a folder, found a file of this name, {shown(str(path))}")
    return path


def _existing_file(value: object) -> Path | None:
    if value is None:
        return None
    path = _path(value)
    try:
        exists = path.exists() and not path.is_dir()  # a pipe will do
    except OSError:
        exists = False
    if not exists:
        raise ValueError
    return path


def _certificates(value: object) -> Path | None:
    path = _existing_file(value)
    if path is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except OSError:  # ssl.SSLError is one
            raise ValueError(f"expected certificates in PEM format, found something else in {path}") from None
    return path


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    """Check the search parameters; what is kept is what the user wrote."""
    try:
        Query.parse(value)
    except ConfigError as error:
        raise _InvalidError(error.problems) from None
    return value


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
    text = str(value) if isinstance(value, str | Path) else ""
    if "(" not in text and not text.lstrip().startswith("{"):  # as all WKT has, and GeoJSON
        _existing_file(text)
    return text


def _list_of_products(value: object) -> object:
    """Take identifiers, or the name of a file with identifiers; it is read when it is needed."""
    if value is None or value == "-":
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    _existing_file(value)
    return str(value)


def _percent(value: object) -> object:
    return value.strip().removesuffix("%") if isinstance(value, str) else _no_bool(value)


_Words = Annotated[str | tuple[str, ...] | None, BeforeValidator(_words)]
_Whole = Annotated[int, BeforeValidator(_no_bool)]
_Seconds = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
_Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0, allow_inf_nan=False)]
_AsciiText = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]


class Connection(_Checked):
    """How the server is reached.

    Attributes
    ----------
    timeout
        Seconds without a connection or without a byte; never a limit for a whole file.
    retries
        Tries in a row that bring no new byte before a product is given up; 0 and 1 both mean a single try.
    user_agent
        How the program names itself.
    download_base_url
        What relative download links start from; None: the root of the catalogue's host.
    auth_hosts
        Hosts that may be given the password, beside the catalogue's own and those below it; their own subdomains
        are not meant. As text, they are parted by commas.
    proxy
        The HTTP proxy to go through, perhaps with a password, which is never shown; None: none.
    ca_file
        PEM certificates to trust instead of the system's; None: the system's.
    """

    prefix: ClassVar[str] = "connection."

    timeout: _Seconds = 120
    retries: Annotated[_Whole, Field(ge=0)] = 3
    user_agent: _AsciiText = f"collgs-async/{__version__}"
    download_base_url: Annotated[str | None, BeforeValidator(_download_base_url)] = None
    auth_hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()
    proxy: Annotated[str | None, BeforeValidator(_proxy)] = None
    ca_file: Annotated[Path | None, BeforeValidator(_certificates)] = None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, _masked(value) if name == "proxy" and value else value


class DownloadOptions(_Checked):
    """How archives are fetched and checked.

    Attributes
    ----------
    chunk_size
        Bytes per read and write, from 1024 to 64 MiB; a floor, larger blocks may be used.
    skip_existing
        Whether an archive that is in the folder is left alone.
    workers
        Archives that are fetched at the same time, from 1 to 64.
    verify
        ``crc``: the checksum of each member; ``structure``: the ZIP's directory; ``size``: the length alone.
    limit_rate
        Bytes a second over all archives, as a number or as text with k, M or G; None: no limit.
    segments
        The most connections for one archive, when workers have nothing else to do; from 1 to 64.
    min_rate
        Bytes a second below which a connection is made anew after half a minute; None: no such limit.
    """

    prefix: ClassVar[str] = "download_options."

    chunk_size: Annotated[_Whole, Field(ge=1024, le=64 * 2**20)] = 65536
    skip_existing: StrictBool = True
    workers: Annotated[_Whole, Field(ge=1, le=64)] = 4
    verify: Literal["crc", "structure", "size"] = "crc"
    limit_rate: _Rate | None = None
    segments: Annotated[_Whole, Field(ge=1, le=64)] = 4
    min_rate: _Rate | None = None

    @model_validator(mode="after")
    def _floor_below_limit(self) -> Self:
        """Refuse a floor that the limit itself would keep every connection under."""
        if self.limit_rate and self.min_rate and self.min_rate > self.limit_rate / self.workers:
            share = self.limit_rate / self.workers
            raise _InvalidError(
                f"download_options: expected min_rate of at most {share:.0f} (limit_rate, shared by the workers), "
                f"found {self.min_rate:.0f}"
            )
        return self


class Selection(_Checked):
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

    aoi: Annotated[str | dict[str, Any] | None, BeforeValidator(_place)] = None
    min_overlap: Annotated[float | None, BeforeValidator(_percent), Field(ge=0, le=100)] = None
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
    ids: Annotated[str | tuple[str, ...] | None, BeforeValidator(_list_of_products)] = None

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
            raise _InvalidError(problems)
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
            raise _InvalidError(found)

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


class Config(_Checked):
    """All settings of a run, checked.

    Attributes
    ----------
    base_url
        The search address of the catalogue, without a query.
    parameters
        The search, as the user wrote it; `query` is what is understood.
    output_directory
        The folder for the archives, relative to the current one; it need not exist yet.
    selection
        What is wanted of what the search finds; a mapping will do.
    connection, download_options
        The sections of those names; a mapping will do.

    Raises
    ------
    ConfigError
        With a line for each wrong value, beginning with its key: ``download_options.workers: expected ...``.
    """

    base_url: Annotated[str, BeforeValidator(_base_url)] = "https://collgs.lu/catalog/oseo/search"
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] = Field(
        default_factory=dict, validate_default=True
    )
    output_directory: Annotated[Path, BeforeValidator(_folder)] = Path("downloads")
    selection: Selection = Selection()
    connection: Connection = Connection()
    download_options: DownloadOptions = DownloadOptions()

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        self.selection.refuse_twins(self.query)
        return self

    @classmethod
    def from_file(cls, path: str | Path) -> Config:
        """Read a JSON file and nothing else: neither environment nor flags.

        Raises
        ------
        ConfigError
            When the file cannot be read, is no JSON object, or holds wrong values; each line begins with its name.
        """
        return load_config(Path(path), environ={}, flags={})

    @cached_property
    def query(self) -> Query:
        """The search parameters, as the catalogue will be asked."""
        return Query.parse(self.parameters)

    @property
    def download_base(self) -> str:
        """What relative download links are resolved against; it ends with a slash (protocol §2.4)."""
        parts = urlsplit(self.base_url)
        base = self.connection.download_base_url or f"{parts.scheme}://{parts.netloc}"
        return base.rstrip("/") + "/"


def load_config(file: Path | None, *, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Put the settings together: a flag goes before the environment, that before the file, that before the default.

    Parameters
    ----------
    file
        A JSON file; None: none.
    environ
        Where the ``COLLGS_*`` variables are looked up; an empty one counts as not set.
    flags
        What the command line gave, by configuration key, such as ``download_options.workers``; None: not given.

    Raises
    ------
    ConfigError
        With a line for each wrong value, beginning with the flag, the variable or the file that it came from.
    """
    values = read_object(file) if file else {}
    origins = {} if file else {key: option.flag for key, option in _BY_KEY.items()}
    for key, option, words in _from_environment(environ):
        _put(values, key, option.read(words))
        origins[key] = env_name(option)
    for key, value in _from_flags(flags):
        _put(values, key, value)
        origins[key] = _BY_KEY[key].flag if key in _BY_KEY else f"--set {key.removeprefix('parameters.')}"
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError([_with_origin(line, origins, file) for line in error.problems]) from None


def sample_config() -> str:
    """Give the text of the sample configuration, ``config.example.json``."""
    return files("collgs_async").joinpath("config.example.json").read_text(encoding="utf-8")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Option, str]]:
    for option in OPTIONS:
        if words := environ.get(env_name(option)):
            yield option.key, option, words


def _from_flags(flags: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for written, value in flags.items():
        if value is None:
            continue
        section, dot, name = written.partition(".")
        key = f"{section}{dot}{canonical(name)}"
        option = _BY_KEY.get(key)
        yield key, option.read(value) if option and isinstance(value, str) else value


def _put(values: dict[str, Any], key: str, value: object) -> None:
    """Set a value by its dotted key, in place of any spelling of it that the file has."""
    section, dot, name = key.partition(".")
    if not dot:
        values[key] = value
        return
    inside = values.get(section, {})
    if isinstance(inside, dict):  # else the section itself is wrong, and will be named
        kept = {written: old for written, old in inside.items() if canonical(written) != name}
        values[section] = {**kept, name: value}


def _with_origin(line: str, origins: Mapping[str, str], file: Path | None) -> str:
    key, _, rest = line.partition(": ")
    if key in origins:
        return f"{origins[key]}: {rest}"
    return f"{file}: {line}" if file else line
