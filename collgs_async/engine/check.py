"""Refuse what an engine of several processes cannot do, before anything is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collgs_async.config.settings import Config

__all__ = ["EXPECTED_EXTRA", "check_engine", "import_distributed"]

EXPECTED_EXTRA: Final = "engine: expected the extra dask (pip install 'collgs-async[dask]')"


async def check_engine(config: Config, *, has_own_credentials: bool) -> None:
    """Refuse settings that cannot hold for several processes.

    Parameters
    ----------
    has_own_credentials
        Whether the caller has given a function for the credentials.

    Raises
    ------
    ConfigError
        With one line for each; or the package that this needs is not installed.
    """
    problems: list[str] = []
    if config.download_options.keep_free is not None:
        problems.append(
            "keep_free: expected none beside engine, whose processes do not know of each other's archives, found one; "
            "max_bytes works"
        )
    proxy = config.connection.proxy
    if proxy is not None and "@" in urlsplit(proxy).netloc:
        problems.append(
            "proxy: expected none with a password beside engine, since it would travel, found one; set HTTPS_PROXY for "
            "each process"
        )
    if has_own_credentials:
        problems.append(
            "credentials: expected none beside engine, whose processes have their own from environment or netrc, found "
            "a function"
        )
    if problems:
        raise ConfigError(problems)
    await import_distributed()


async def import_distributed() -> Any:
    """Import and return the package `distributed`, in a thread since that takes a second or two.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    return await asyncio.to_thread(_distributed)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(f"{EXPECTED_EXTRA}, found no module {error.name}") from None
    return distributed
