"""Load the settings that a command runs with: flags before the environment, that before the configuration file."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collgs_async.config.loading import load_config
from collgs_async.config.options import env_name
from collgs_async.config.settings import BY_KEY, OPTIONS
from collgs_async.errors import ConfigError
from collgs_async.models.query import given_names

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from collgs_async.config.settings import Config

__all__ = ["DEFAULT_CONFIG", "has_selection", "read_config", "read_plan_settings", "read_settings"]

log = logging.getLogger("collgs_async")

DEFAULT_CONFIG = Path("config.json")


def read_settings(
    args: Namespace, more: Mapping[str, object] | None = None, *, needs_collection: bool = False
) -> Config:
    """Load the settings, with `more` flags by key; a missing collection is an error only if one is needed."""
    file = args.config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    flags = {**args.flags, **(more or {})}
    return load_config(file, environ=os.environ, flags=flags, needs_collection=needs_collection)


def read_config(args: Namespace, more: Mapping[str, object] | None = None) -> Config:
    """Load the settings of a search, and log notes on reinterpreted values."""
    config = read_settings(args, more, needs_collection=True)
    for note in config.query.notes if config.query else ():
        log.info("note: %s", note)
    if config.selection.ids != "-":
        return config
    from collgs_async.selection.identifiers import read_identifiers

    # Read standard input now: waiting for it could not be interrupted later.
    return replace(config, selection=replace(config.selection, ids=read_identifiers("-")))


def read_plan_settings(plan_flag: str, args: Namespace) -> Config:
    """Load the settings beside a plan: all but the selection, which the plan replaces.

    Raises
    ------
    ConfigError
        A flag sets a selection. Selections in file or environment are meant for searches, and only logged as ignored.
    """
    for key in args.flags:
        if _selects(key):
            found = BY_KEY[key].flag if key in BY_KEY else "--set"
            raise ConfigError(f"{plan_flag}: expected no selection beside it, found {found}")
    config = read_settings(args)
    asked = given_names(config.parameters) - {"parentIdentifier", "parentId", "httpAccept"}
    idle = [
        *(f"parameters.{name}" for name in sorted(asked)),
        *(f"selection.{name}" for name in config.selection.to_dict()),
    ]
    if idle:
        log.info("note: %s goes by the plan alone; without effect here: %s", plan_flag, ", ".join(idle))
    return config


def has_selection(args: Namespace) -> bool:
    """Whether anything selects what to search for: a file, a flag or a variable."""
    variables = (env_name(option) for option in OPTIONS if option.group == "selection")
    return bool(
        args.config
        or any(_selects(key) for key in args.flags)
        or any(os.environ.get(name) for name in variables)
        or DEFAULT_CONFIG.exists()
    )


def _selects(key: str) -> bool:
    return key.startswith(("parameters.", "selection."))
