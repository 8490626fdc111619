"""Bulk downloader for the Sentinel archives of Luxembourg's CollGS: concurrent, resumable, verified.

::

    from collgs_async import SyncClient

    with SyncClient(collection="S2_MSIL2A", bbox=(5.7, 49.4, 6.6, 50.2), output_directory="luxembourg") as client:
        report = client.download_all()

`Client` is the same with ``await``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async import sync
    from collgs_async.catalogue.catalogue import Catalogue
    from collgs_async.catalogue.description import Description
    from collgs_async.catalogue.response import Collection
    from collgs_async.catalogue.search import Search
    from collgs_async.client import Client, run
    from collgs_async.config.loading import load_config
    from collgs_async.config.settings import Config, Connection, DownloadOptions, KeepOptions, PartsOptions, Selection
    from collgs_async.errors import (
        AlreadyRunningError,
        AuthenticationError,
        CatalogueError,
        CollgsError,
        ConfigError,
        EngineError,
        FileError,
        IntegrityError,
        LedgerError,
        LimitReachedError,
        NotAvailableError,
        ProductError,
        StorageError,
        TransferError,
    )
    from collgs_async.http.auth import Identity
    from collgs_async.http.credentials import Credentials
    from collgs_async.models.member_list import ArchiveMember, MemberList
    from collgs_async.models.product import Outcome, Product, RawTimes, Status
    from collgs_async.models.progress import Progress, SilentProgress
    from collgs_async.models.query import Query
    from collgs_async.models.report import Report
    from collgs_async.models.wish import Wish
    from collgs_async.reporting.bars import TqdmProgress
    from collgs_async.reporting.choice import choose_progress
    from collgs_async.reporting.plain import PlainProgress
    from collgs_async.reporting.products import Products, SearchResults
    from collgs_async.selection.filters import Excluded
    from collgs_async.selection.plan import Plan, PlanExclusion
    from collgs_async.sync.client import SyncClient
    from collgs_async.sync.results import SyncSearch, SyncSearchResults
    from collgs_async.transfer.action import Action
    from collgs_async.transfer.quicklooks import Picture
    from collgs_async.transfer.tuning import TransferTuning

__version__ = "0.1.0"

__all__ = [
    "Action",
    "AlreadyRunningError",
    "ArchiveMember",
    "AuthenticationError",
    "Catalogue",
    "CatalogueError",
    "Client",
    "Collection",
    "CollgsError",
    "Config",
    "ConfigError",
    "Connection",
    "Credentials",
    "Description",
    "DownloadOptions",
    "EngineError",
    "Excluded",
    "FileError",
    "Identity",
    "IntegrityError",
    "KeepOptions",
    "LedgerError",
    "LimitReachedError",
    "MemberList",
    "NotAvailableError",
    "Outcome",
    "PartsOptions",
    "Picture",
    "PlainProgress",
    "Plan",
    "PlanExclusion",
    "Product",
    "ProductError",
    "Products",
    "Progress",
    "Query",
    "RawTimes",
    "Report",
    "Search",
    "SearchResults",
    "Selection",
    "SilentProgress",
    "Status",
    "StorageError",
    "SyncClient",
    "SyncSearch",
    "SyncSearchResults",
    "TqdmProgress",
    "TransferError",
    "TransferTuning",
    "Wish",
    "__version__",
    "choose_progress",
    "load_config",
    "run",
    "sync",
]

_MODULES = {
    "client": ("Client", "run"),
    "catalogue.catalogue": ("Catalogue",),
    "catalogue.description": ("Description",),
    "catalogue.response": ("Collection",),
    "catalogue.search": ("Search",),
    "config.loading": ("load_config",),
    "config.settings": ("Config", "Connection", "DownloadOptions", "KeepOptions", "PartsOptions", "Selection"),
    "http.auth": ("Identity",),
    "http.credentials": ("Credentials",),
    "models.member_list": ("ArchiveMember", "MemberList"),
    "models.product": ("Outcome", "Product", "RawTimes", "Status"),
    "models.progress": ("Progress", "SilentProgress"),
    "models.query": ("Query",),
    "models.report": ("Report",),
    "models.wish": ("Wish",),
    "reporting.bars": ("TqdmProgress",),
    "reporting.choice": ("choose_progress",),
    "reporting.plain": ("PlainProgress",),
    "reporting.products": ("Products", "SearchResults"),
    "selection.filters": ("Excluded",),
    "selection.plan": ("Plan", "PlanExclusion"),
    "sync.client": ("SyncClient",),
    "sync.results": ("SyncSearch", "SyncSearchResults"),
    "transfer.action": ("Action",),
    "transfer.quicklooks": ("Picture",),
    "transfer.tuning": ("TransferTuning",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: ``collgs-async --help`` must not wait for aiohttp."""
    if name == "sync":
        return import_module("collgs_async.sync")
    if name in __all__:
        return getattr(import_module(f"collgs_async.{_HOME.get(name, 'errors')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
