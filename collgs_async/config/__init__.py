"""Settings: read from flags, environment and file, checked once, never changed.

Every wrong value is named at once, with the place that it came from, before anything is touched. `settings` has a row
for each, `options` says what a row is, `kinds` what a right value is, and `loading` puts all sources together.
"""

from collgs_async.config.loading import load_config, sample_config
from collgs_async.config.options import Option, env_name, search_parameter
from collgs_async.config.settings import OPTIONS, Config, Connection, DownloadOptions, Selection

__all__ = [
    "OPTIONS",
    "Config",
    "Connection",
    "DownloadOptions",
    "Option",
    "Selection",
    "env_name",
    "load_config",
    "sample_config",
    "search_parameter",
]
