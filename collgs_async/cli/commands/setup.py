"""``init`` and ``login``: what is done before the first download."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collgs_async.cli.console import run_with_signals
from collgs_async.cli.settings import DEFAULT_CONFIG, has_selection, read_settings
from collgs_async.config.loading import sample_config
from collgs_async.errors import AuthenticationError, ConfigError
from collgs_async.http.credentials import Credentials, find_credentials, has_password, read_password

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.config.settings import Config

__all__ = ["first_steps", "initialise", "login"]

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
    if DEFAULT_CONFIG.exists():
        log.error(
            "nothing says what to search for: %s is another program's, and no option such as --collection was given",
            DEFAULT_CONFIG,
        )
        log.info("`collgs-async init collgs.json` writes a sample; then give it with `--config collgs.json`")
        return 2
    log.error("nothing says what to search for: there is no config.json, and no option such as --collection was given")
    initialise(DEFAULT_CONFIG)
    return 2


def login(args: Namespace) -> int:
    """Check the credentials, and print the user; on a terminal, ask for what is not set and turns out to be needed.

    They are asked for between two runs, not within one: nothing could interrupt a thread that waits for a key.
    """
    any_collection = {} if has_selection(args) else {"parameters.parentIdentifier": "S2_MSIL2A"}
    config = read_settings(args, any_collection, needs_collection=True)
    host = urlsplit(config.base_url).hostname or ""
    if not sys.stdin.isatty() or not sys.stderr.isatty() or _are_set(host):
        return run_with_signals(_login(config))
    lacking = _LackingCredentials()
    try:
        return run_with_signals(_login(config, lacking))
    except AuthenticationError:
        if not lacking.were_needed:
            raise
    try:
        credentials = _ask(host)
    except KeyboardInterrupt:
        sys.stderr.write("\n")  # else the shell's prompt comes behind the question
        raise
    code = run_with_signals(_login(config, lambda: credentials))
    log.info(
        "for other commands, set COLLGS_USERNAME and COLLGS_PASSWORD or COLLGS_PASSWORD_FILE, or add "
        "`machine %s login %s password WORD` to ~/.netrc",
        host,
        credentials.username,
    )
    return code


def _are_set(host: str) -> bool:
    """Whether there are credentials; if only a name or a password is set, the other one can be asked for."""
    if bool(os.environ.get("COLLGS_USERNAME")) != has_password(os.environ):
        return False
    return find_credentials(os.environ, host) is not None


class _LackingCredentials:
    """Stands for credentials, and records whether they were needed."""

    def __init__(self) -> None:
        self.were_needed = False

    def __call__(self) -> None:
        self.were_needed = True


def _ask(host: str) -> Credentials:
    """Ask for user name and password on the terminal; the password is not shown."""
    username = os.environ.get("COLLGS_USERNAME") or ""
    if not username:
        sys.stderr.write(f"user name at {host}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line.endswith("\n"):  # Ctrl-D
            sys.stderr.write("\n")
        username = line.strip()
    password = read_password(os.environ) or ""
    if username and not password:
        try:
            password = getpass.getpass(f"password of {username} at {host}: ")
        except EOFError:
            sys.stderr.write("\n")
    if not username or not password:
        raise AuthenticationError(f"no {'password' if username else 'user name'} was given; nothing was sent")
    return Credentials(username, password)


async def _login(config: Config, credentials: Callable[[], Credentials | None] | None = None) -> int:
    from collgs_async.client import Client

    async with Client(config, credentials=credentials) as client:
        signed_in = await client.check_login()
    log.info("%s", signed_in or "the store serves archives without a sign-in")
    return 0
