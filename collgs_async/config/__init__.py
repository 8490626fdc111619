"""Settings from flags, environment and configuration file, validated once and immutable.

All invalid values are reported together, with their source, before anything is touched. `settings` has a row for each
setting, `options` defines a row, `kinds` the valid values, and `loading` merges the sources.
"""

from collgs_async.config.loading import load_config, sample_config
from collgs_async.config.options import Option, env_name, search_parameter
from collgs_async.config.settings import (
    OPTIONS,
    Config,
    Connection,
    DownloadOptions,
    KeepOptions,
    PartsOptions,
    Selection,
)

__all__ = [
    "OPTIONS",
    "Config",
    "Connection",
    "DownloadOptions",
    "KeepOptions",
    "Option",
    "PartsOptions",
    "Selection",
    "env_name",
    "load_config",
    "sample_config",
    "search_parameter",
]
