"""Bulk downloader for the Sentinel archives of Luxembourg's CollGS: concurrent, resumable, verified."""

from collgs_async.version import __version__

__all__ = ["__version__"]
