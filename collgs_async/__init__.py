"""Bulk downloader for the Sentinel archives of Luxembourg's CollGS: concurrent, resumable, verified.

::

    from collgs_async import Config, run

    report = await run(Config(parameters={"parentIdentifier": "S2_MSIL2A", "box": "5.7,49.4,6.6,50.2"}))

`collgs_async.sync` has the same without ``await``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async import sync
    from collgs_async.app import Client, run
    from collgs_async.catalogue import Search
    from collgs_async.choice import Choice
    from collgs_async.choosing import Dropped
    from collgs_async.config import Config, Connection, DownloadOptions, Selection, load_config
    from collgs_async.errors import (
        AuthenticationError,
        CatalogueError,
        CollgsError,
        ConfigError,
        FileError,
        IntegrityError,
        NotAvailableError,
        ProductError,
        StorageError,
        TransferError,
    )
    from collgs_async.models import Outcome, Product, Report, Status
    from collgs_async.plan import Plan
    from collgs_async.progress import PlainProgress, Progress, SilentProgress, TqdmProgress, choose_progress
    from collgs_async.query import Query
    from collgs_async.results import Products
    from collgs_async.transfer import Action

__version__ = "0.1.0"

__all__ = [
    "Action",
    "AuthenticationError",
    "CatalogueError",
    "Choice",
    "Client",
    "CollgsError",
    "Config",
    "ConfigError",
    "Connection",
    "DownloadOptions",
    "Dropped",
    "FileError",
    "IntegrityError",
    "NotAvailableError",
    "Outcome",
    "PlainProgress",
    "Plan",
    "Product",
    "ProductError",
    "Products",
    "Progress",
    "Query",
    "Report",
    "Search",
    "Selection",
    "SilentProgress",
    "Status",
    "StorageError",
    "TqdmProgress",
    "TransferError",
    "__version__",
    "choose_progress",
    "load_config",
    "run",
    "sync",
]

_ROOMS = {
    "app": ("Client", "run"),
    "catalogue": ("Search",),
    "choice": ("Choice",),
    "choosing": ("Dropped",),
    "config": ("Config", "Connection", "DownloadOptions", "Selection", "load_config"),
    "models": ("Outcome", "Product", "Report", "Status"),
    "plan": ("Plan",),
    "progress": ("PlainProgress", "Progress", "SilentProgress", "TqdmProgress", "choose_progress"),
    "query": ("Query",),
    "results": ("Products",),
    "transfer": ("Action",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: ``collgs-async --help`` must not wait for aiohttp."""
    if name == "sync":
        return import_module("collgs_async.sync")
    if name in __all__:
        return getattr(import_module(f"collgs_async.{_HOME.get(name, 'errors')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
