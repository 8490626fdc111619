"""Merge the settings from file, environment and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collgs_async.config.json_file import read_object
from collgs_async.config.kinds import CREDENTIALS
from collgs_async.config.options import env_name, is_secret
from collgs_async.config.settings import BY_KEY, KNOWN_KEYS, OPTIONS, Config
from collgs_async.errors import ConfigError, did_you_mean
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.query import canonical_parameter, names_collection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from collgs_async.config.options import Option

__all__ = ["SECTIONS", "config_from_keywords", "load_config", "name_origins", "sample_config"]


def load_config(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    needs_collection: bool = True,
) -> Config:
    """Load the settings; flags take precedence over the environment, that over the file, that over the defaults.

    Parameters
    ----------
    file
        A JSON file; None: none.
    environ
        The environment with its ``COLLGS_*`` variables; an empty one counts as not set.
    flags
        Values from the command line by configuration key, such as ``download_options.workers``; None: not given.
    needs_collection
        Whether a missing collection is an error; otherwise `Config.query` is None.

    Raises
    ------
    ConfigError
        With one line per invalid value, beginning with its flag, variable or file.
    """
    values = read_object(file) if file else {}
    for key, option, words in _from_environment(environ):
        _set_value(values, key, option.kind.from_text(words))
    for key, value in _from_flags(flags):
        _set_value(values, key, value)
    parameters = values.get("parameters", {})
    if needs_collection and isinstance(parameters, dict) and not names_collection(parameters):
        _set_value(values, "parameters.parentIdentifier", None)  # reported together with all other errors
    try:
        return Config(**values)
    except ConfigError as error:
        origins = {} if file else {key: option.flag for key, option in BY_KEY.items()}
        origins |= name_origins(environ, flags)
        raise ConfigError([_with_origin(line, origins, file) for line in error.problems]) from None


def name_origins(environ: Mapping[str, str], flags: Mapping[str, object]) -> dict[str, str]:
    """Return by key what sets it, a variable or a flag, as the user typed it; keys of a file are not among them."""
    origins = {key: env_name(option) for key, option, _ in _from_environment(environ)}
    for key, _ in _from_flags(flags):
        origins[key] = BY_KEY[key].flag if key in BY_KEY else f"--set {key.removeprefix('parameters.')}"
    return origins


def config_from_keywords(settings: Mapping[str, object]) -> Config:
    """Create a configuration from settings by name; see `Config.create`."""
    values = {name: value for name, value in settings.items() if name in SECTIONS}
    problems = []
    origins = {}
    for name, value in settings.items():
        if name in SECTIONS:
            continue
        option = _BY_KEYWORD.get(name)
        if option is None:
            problems.append(_unknown_keyword(name))
        elif (section := option.key.partition(".")[0]) in settings and section in SECTIONS:
            problems.append(f"{name}: expected either {name} or {section}, found both")
        else:
            _set_value(values, option.key, value)
            origins[option.key] = name
    try:
        config = Config(**values)
    except ConfigError as error:
        problems += [_with_origin(line, origins, None) for line in error.problems]
    if problems:
        raise ConfigError(problems)
    return config


_BY_KEYWORD = {option.keyword: option for option in OPTIONS}
SECTIONS = ("parameters", "selection", "parts", "keep", "connection", "download_options")
"""The sections of a configuration file."""


def _unknown_keyword(name: str) -> str:
    if is_secret(name):
        return f"{name}: unknown setting; {CREDENTIALS}"
    key = KNOWN_KEYS.get(canonical_parameter(name), "")
    meant = BY_KEY[key].keyword if key in BY_KEY else ""
    hint = f"; did you mean {meant}?" if meant else did_you_mean(name, [*_BY_KEYWORD, *SECTIONS])
    return f"{name if name.isprintable() else quote_value(name)}: unknown setting{hint}"


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


def _set_value(values: dict[str, Any], key: str, value: object) -> None:
    """Set a value by its dotted key, replacing any spelling of it in the file."""
    section, dot, name = key.partition(".")
    if not dot:
        values[key] = value
        return
    inside = values.get(section, {})
    if isinstance(inside, dict):  # otherwise the section itself is invalid, and will be reported
        kept = {written: old for written, old in inside.items() if canonical_parameter(written) != name}
        values[section] = {**kept, name: value}


def _with_origin(line: str, origins: Mapping[str, str], file: Path | None) -> str:
    key, _, rest = line.partition(": ")
    if key in origins:
        return f"{origins[key]}: {rest}"
    return f"{file}: {line}" if file else line
