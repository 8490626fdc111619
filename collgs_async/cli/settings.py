"""Load the settings that a command runs with: flags before the environment, that before the configuration file."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.config.environment import CONFIG, unknown_variables
from collgs_async.config.json_file import has_key
from collgs_async.config.loading import SECTIONS, load_config, name_origins
from collgs_async.config.options import env_name
from collgs_async.config.paths import read_path
from collgs_async.config.settings import BY_KEY, KNOWN_KEYS, OPTIONS
from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.query import Query, given_names, names_collection
from collgs_async.models.wish import Wish

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from collgs_async.config.settings import Config
    from collgs_async.selection.plan import Plan

__all__ = ["DEFAULT_CONFIG", "has_selection", "read_config", "read_named", "read_plan_settings", "read_settings"]

log = logging.getLogger("collgs_async")

DEFAULT_CONFIG = Path("config.json")

_NEED_FOLDER: Final = {
    "ledger": "search --dry-run lists what is not there yet",
    "prune": "the store's own tools and lifecycle rules remove objects",
    "quicklooks": "give it a folder for the previews",
    "retry": "download tries again what failed",
    "status": "search --dry-run lists what is not there yet",
    "sync": "download with the same selection fetches what is not there yet",
    "verify": "each archive was verified before its upload; verify DIR checks a folder",
}
"""Commands on what is in the output folder, and what can be done with an object store instead."""


def read_settings(
    args: Namespace,
    more: Mapping[str, object] | None = None,
    *,
    needs_collection: bool = False,
    is_local: bool = False,
    has_parts: bool = False,
) -> Config:
    """Load the settings, and log what of the environment and of the current folder is ignored.

    Parameters
    ----------
    more
        Further flags by key; None: none.
    needs_collection
        Whether a missing collection is an error.
    is_local
        Whether the command makes no requests, so that a password is not needed.
    has_parts
        Whether the command takes parts of archives; otherwise the settings of them have no effect.
    """
    for message in unknown_variables(os.environ):
        log.warning("%s", message)
    if not is_local:
        from collgs_async.http.credentials import check_password_file

        check_password_file(os.environ)
    if DEFAULT_CONFIG.exists() and _config_file(args) is None:
        log.info("note: %s has no key of this program, and is ignored", DEFAULT_CONFIG)
    config = _load(args, more or {}, needs_collection=needs_collection, has_parts=has_parts)
    if args.command in _NEED_FOLDER and not getattr(args, "folder", None):
        config.needed_folder(args.command, _NEED_FOLDER[args.command])
    if config.store_url is None and (idle := [BY_KEY[key] for key in ("endpoint_url", "spool") if key in args.flags]):
        raise ConfigError(f"{idle[0].flag}: expected an object store in --output beside it, found none")
    if not is_local:
        _log_unusable_proxy(config)
    return config


def _load(
    args: Namespace, more: Mapping[str, object], *, needs_collection: bool = False, has_parts: bool = False
) -> Config:
    flags = {**args.flags, **({} if has_parts else _parts_of(Wish())), **more}
    return load_config(_config_file(args), environ=os.environ, flags=flags, needs_collection=needs_collection)


def _log_unusable_proxy(config: Config) -> None:
    """Log a proxy of the environment that could not be used, where none is; where one is, the request is refused."""
    if not any(name.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} for name in os.environ):
        return
    from yarl import URL

    from collgs_async.http.proxies import Proxies

    if note := Proxies(config.connection.proxy).unusable(URL(config.base_url)):
        log.info("note: %s", note)


def _config_file(args: Namespace) -> Path | None:
    """Return the file of ``--config``, else that of ``COLLGS_CONFIG``, else ``config.json`` if it has a key of ours."""
    if args.config:
        named: Path = args.config
        return named
    if written := os.environ.get(CONFIG):
        try:
            path = read_path(written)
        except ValueError as error:
            problem = str(error) or f"expected the name of a file, found {quote_value(written)}"
            raise ConfigError(f"{CONFIG}: {problem}") from None
        if not path.exists():
            raise ConfigError(f"{CONFIG}: expected a JSON file, found {quote_value(written)}: it is missing")
        return path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() and has_key(DEFAULT_CONFIG, (*_SECTIONS, *KNOWN_KEYS)) else None


_SECTIONS = ("base_url", "output_directory", *SECTIONS)


def read_config(args: Namespace, more: Mapping[str, object] | None = None, *, has_parts: bool = False) -> Config:
    """Load the settings of a search, and log notes on reinterpreted values; see `read_settings`."""
    config = read_settings(args, more, needs_collection=True, has_parts=has_parts)
    typed = name_origins(os.environ, args.flags)
    for note in config.query.notes if config.query else ():
        key, space, words = note.partition(" ")
        log.info("note: %s", typed.get(f"parameters.{key}", key) + space + words)
    return _with_standard_input(config)


def read_named(args: Namespace) -> tuple[dict[str, tuple[str, ...]], Config]:
    """Load the settings of a command on named products; return these by collection, and the settings without one.

    The names are arguments, or those of ``--ids``. The collection is that of ``--collection``, else what the name of a
    product tells, else that of the environment or of the file.

    Raises
    ------
    ConfigError
        A name or a setting is invalid, there is no name, or its collection is not known.
    """
    from collgs_async.models.product_types import usual_collection
    from collgs_async.models.sentinel import recognise
    from collgs_async.selection.bands import check_wish
    from collgs_async.selection.identifiers import read_identifiers

    config = _with_standard_input(read_settings(args))
    if not (args.products or config.selection.ids):
        raise ConfigError(f"{args.command}: expected the identifier of a product, or --ids, found none")
    names = read_identifiers(args.products, place="PRODUCT") if args.products else ()
    listed = read_identifiers(config.selection.ids) if config.selection.ids else ()
    given = names_collection({key.removeprefix("parameters."): value for key, value in args.flags.items()})
    found: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys([*names, *listed]):
        if given and config.query:
            collection = config.query.collection
        elif known := recognise(name):
            collection = usual_collection(known)
        elif config.query:
            collection = config.query.collection
        else:
            raise ConfigError(f"--collection: expected that of {name}, whose name does not tell it, found none")
        found[collection] = (*found.get(collection, ()), name)
    # The wanted parts need not be of the collection that environment or file name.
    # Nor does it matter where archives would go.
    more: dict[str, object] = {"output_directory": config.folder}
    settings = _load(args, {"parameters.parentIdentifier": "", "parameters.parentId": "", **more}, has_parts=True)
    try:
        check_wish(settings.parts.wish, list(found))
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    return found, settings


def _with_standard_input(config: Config) -> Config:
    """Read the identifiers on standard input now: waiting for them could not be interrupted later."""
    if config.selection.ids != "-":
        return config
    from collgs_async.selection.identifiers import read_identifiers

    return replace(config, selection=replace(config.selection, ids=read_identifiers("-")))


def _parts_of(wish: Wish) -> dict[str, object]:
    """Return the settings of a wish by key, also those that are not set."""
    unset: dict[str, object] = {"bands": (), "resolution": (), "metadata_only": False, "members": ()}
    return {f"parts.{name}": value for name, value in {**unset, **wish.as_dict()}.items()}


def _effective(wish: Wish, planned: Wish) -> str:
    """Return the words for what is wanted where a plan asks for parts, and flags may ask for others."""
    if wish == planned:
        return f": {wish}"
    return f"; with the flags beside it, for these: {wish}" if wish else "; with the flags beside it, for the whole"


def read_plan_settings(plan_flag: str, args: Namespace, path: Path) -> tuple[Plan, Config]:
    """Read a plan, and load the settings beside it: all but the selection, which the plan replaces.

    Of the products of a plan, a download may take one shard. A plan's wish for parts of archives goes before file and
    environment; a flag goes before it, key by key.

    Raises
    ------
    ConfigError
        The plan or a setting is invalid, or a flag sets a selection. Selections in file or environment are meant for
        searches, and only logged as ignored.
    """
    from collgs_async.selection.plan import Plan

    shard = ("selection.shard",) if args.command == "download" else ()
    for key in args.flags:
        if _selects(key) and key not in shard:
            found = BY_KEY[key].flag if key in BY_KEY else "--set"
            raise ConfigError(f"{plan_flag}: expected no selection beside it, found {found}")
    plan = Plan.read(path)
    more: dict[str, object] = {"parameters.parentIdentifier": Query.parse(plan.parameters).collection}
    if plan.wish:
        more |= {key: value for key, value in _parts_of(plan.wish).items() if key not in args.flags}
    config = read_settings(args, more, has_parts=True)
    if plan.wish:
        log.info("note: %s asks for parts of each archive%s", plan_flag, _effective(config.parts.wish, plan.wish))
    asked = given_names(config.parameters) - {"parentIdentifier", "parentId", "httpAccept"}
    idle = [
        *(f"parameters.{name}" for name in sorted(asked)),
        *(key for name in config.selection.to_dict() if (key := f"selection.{name}") not in shard),
    ]
    if idle:
        typed = name_origins(os.environ, args.flags)
        idle = [typed.get(key, key) for key in idle]
        log.info("note: %s goes by the plan alone; without effect here: %s", plan_flag, ", ".join(idle))
    return plan, config


def has_selection(args: Namespace) -> bool:
    """Whether anything selects what to search for: a file, a flag or a variable."""
    variables = (env_name(option) for option in OPTIONS if option.group == "selection")
    return bool(
        _config_file(args)
        or any(_selects(key) for key in args.flags)
        or any(os.environ.get(name) for name in variables)
    )


def _selects(key: str) -> bool:
    return key.startswith(("parameters.", "selection."))
