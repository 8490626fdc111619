"""All settings of a run, put together from flags, environment and file."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collgs_async.config.checked import BY_KEY, InvalidError, Section
from collgs_async.config.sections import Connection, DownloadOptions
from collgs_async.config.selection import Selection
from collgs_async.config.values import read_base_url, read_folder
from collgs_async.errors import ConfigError
from collgs_async.jsonfile import read_object
from collgs_async.options import OPTIONS, Option, env_name
from collgs_async.paths import read_path
from collgs_async.query import Query, canonical, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Config", "load_config", "sample_config"]


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    """Check the search parameters; what is kept is what the user wrote."""
    try:
        Query.parse(value)
    except ConfigError as error:
        raise InvalidError(error.problems) from None
    return value


class Config(Section):
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

    base_url: Annotated[str, BeforeValidator(read_base_url)] = "https://collgs.lu/catalog/oseo/search"
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] = Field(
        default_factory=dict, validate_default=True
    )
    output_directory: Annotated[Path, BeforeValidator(read_folder)] = Path("downloads")
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
        try:
            file = read_path(path)
        except ValueError as error:
            raise ConfigError(str(error) or f"expected the name of a file, found {shown(str(path))}") from None
        return load_config(file, environ={}, flags={})

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
    origins = {} if file else {key: option.flag for key, option in BY_KEY.items()}
    for key, option, words in _from_environment(environ):
        _put(values, key, option.read(words))
        origins[key] = env_name(option)
    for key, value in _from_flags(flags):
        _put(values, key, value)
        origins[key] = BY_KEY[key].flag if key in BY_KEY else f"--set {key.removeprefix('parameters.')}"
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
        option = BY_KEY.get(key)
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
