"""Put the settings together from file, environment and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collgs_async.config.json_file import read_object
from collgs_async.config.options import env_name
from collgs_async.config.settings import BY_KEY, OPTIONS, Config
from collgs_async.errors import ConfigError
from collgs_async.models.query import canonical_parameter, names_collection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from collgs_async.config.options import Option

__all__ = ["load_config", "sample_config"]


def load_config(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    needs_collection: bool = True,
) -> Config:
    """Put the settings together: a flag goes before the environment, that before the file, that before the default.

    Parameters
    ----------
    file
        A JSON file; None: none.
    environ
        Where the ``COLLGS_*`` variables are looked up; an empty one counts as not set.
    flags
        What the command line gave, by configuration key, such as ``download_options.workers``; None: not given.
    needs_collection
        Whether it is wrong that no collection is named; else `Config.query` is None then.

    Raises
    ------
    ConfigError
        With a line for each wrong value, beginning with the flag, the variable or the file that it came from.
    """
    values = read_object(file) if file else {}
    origins = {} if file else {key: option.flag for key, option in BY_KEY.items()}
    for key, option, words in _from_environment(environ):
        _put(values, key, option.kind.from_text(words))
        origins[key] = env_name(option)
    for key, value in _from_flags(flags):
        _put(values, key, value)
        origins[key] = BY_KEY[key].flag if key in BY_KEY else f"--set {key.removeprefix('parameters.')}"
    parameters = values.get("parameters", {})
    if needs_collection and isinstance(parameters, dict) and not names_collection(parameters):
        _put(values, "parameters.parentIdentifier", None)  # which is refused together with all else that is wrong
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError([_with_origin(line, origins, file) for line in error.problems]) from None


def sample_config() -> str:
    """Return the text of the sample configuration, ``config.example.json``."""
    from importlib.resources import files

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
        key = f"{section}{dot}{canonical_parameter(name)}"
        option = BY_KEY.get(key)
        yield key, option.kind.from_text(value) if option and isinstance(value, str) else value


def _put(values: dict[str, Any], key: str, value: object) -> None:
    """Set a value by its dotted key, in place of any spelling of it that the file has."""
    section, dot, name = key.partition(".")
    if not dot:
        values[key] = value
        return
    inside = values.get(section, {})
    if isinstance(inside, dict):  # else the section itself is wrong, and will be named
        kept = {written: old for written, old in inside.items() if canonical_parameter(written) != name}
        values[section] = {**kept, name: value}


def _with_origin(line: str, origins: Mapping[str, str], file: Path | None) -> str:
    key, _, rest = line.partition(": ")
    if key in origins:
        return f"{origins[key]}: {rest}"
    return f"{file}: {line}" if file else line
