"""``init`` and ``login``: what is done before the first download."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from collgs_async.cli.settings import DEFAULT_CONFIG, read_settings
from collgs_async.config.loading import sample_config
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from collgs_async.config.settings import Config

__all__ = ["first_steps", "initialise", "login", "read_login"]

log = logging.getLogger("collgs_async")


def initialise(target: Path) -> int:
    """Write the sample configuration; never overwrite a file."""
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(sample_config())
    except FileExistsError:
        raise ConfigError(f"{target}: expected no file of this name, found one; it was left alone") from None
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from None
    name = "" if target == DEFAULT_CONFIG else f" --config {target}"
    log.info("wrote %s: a sample that searches Sentinel-2 over Québec", target)
    log.info("edit its parameters, look with `collgs-async search%s`, then run `collgs-async%s`", name, name)
    return 0


def first_steps() -> int:
    """Write the sample configuration for a run without any selection."""
    log.error("nothing says what to search for: there is no config.json, and no option such as --collection was given")
    initialise(DEFAULT_CONFIG)
    return 2


def read_login(args: Namespace) -> Config:
    """Load the settings of `login`; where nothing names a collection, that of Sentinel-2 is asked."""
    config = read_settings(args)
    return config if config.query else read_settings(args, {"parameters.parentIdentifier": "S2_MSIL2A"})


async def login(config: Config) -> int:
    """Check the credentials, and print the user."""
    from collgs_async.client import Client

    async with Client(config) as client:
        signed_in = await client.check_login()
    log.info("%s", signed_in or "the store serves archives without a sign-in")
    return 0
