"""What differs where archives go to an object store: settings that need a folder, and the spool."""

from __future__ import annotations

import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.config.keep_options import KeepOptions
    from collgs_async.config.parts_options import PartsOptions
    from collgs_async.models.store_url import StoreUrl

__all__ = ["default_spool", "store_limits"]

_PARTS: Final = ("bands", "resolution", "metadata_only", "members")
_OF_PARTS: Final = "an object store gets whole archives; fetch parts of them into a folder, and copy that"
_OF_FOLDERS: Final = {
    "ledger": "a ledger is of the archives in a folder; what is in an object store is listed by each run",
    "on_archive": "the command gets the path of a file; --on-end works, and --report names each archive",
    "stac": "items are written beside archives in a folder; `search --format geojson` writes what the catalogue says",
}
"""By setting of `keep`: why it needs a folder, and what can be done instead."""


def store_limits(url: StoreUrl, parts: PartsOptions, keep: KeepOptions) -> Iterator[str]:
    """Yield an error for each setting that is of no use with an object store."""
    if parts.wish:
        name = next(name for name in _PARTS if getattr(parts, name))
        yield f"parts.{name}: expected a folder as output_directory beside it, found {url}; {_OF_PARTS}"
    for name, why in _OF_FOLDERS.items():
        if getattr(keep, name):
            yield f"keep.{name}: expected a folder as output_directory beside it, found {url}; {why}"


def default_spool(url: StoreUrl) -> Path:
    """Return the folder in which archives for an object store stay until it has them; each run finds it again."""
    return Path(tempfile.gettempdir(), f"collgs-{blake2b(str(url).encode(), digest_size=8).hexdigest()}")
