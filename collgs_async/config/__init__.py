"""Settings: read from flags, environment and file, checked once, never changed.

Every wrong value is named at once, with the place that it came from, before anything is touched. `checked` is what
each section is made of, and `values` reads what stands in it. `sections` and `selection` are the sections, `settings`
is the whole.
"""

from collgs_async.config.sections import Connection, DownloadOptions
from collgs_async.config.selection import Selection
from collgs_async.config.settings import Config, load_config, sample_config

__all__ = ["Config", "Connection", "DownloadOptions", "Selection", "load_config", "sample_config"]
