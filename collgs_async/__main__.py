"""``python -m collgs_async`` is the command ``collgs-async``."""

from collgs_async.cli import entry_point

entry_point()
