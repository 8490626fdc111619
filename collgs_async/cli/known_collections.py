"""The names of collections that the last `collections` has listed, kept for the completion of words."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.storage.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["keep_names", "names_file"]

log = logging.getLogger("collgs_async")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
"""What a shell takes as it is; other names, which a catalogue may have, are not completed."""

_MOST: Final = 1000


def names_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file, one name a line, in the user's cache folder (XDG Base Directory); None without such a folder."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME")
    folder = Path(cache) if cache.startswith("/") else Path(home, ".cache") if home else None
    return folder and folder / "collgs-async" / "collections"


def keep_names(names: Iterable[str]) -> None:
    """Write the names; a cache that cannot be written is no error."""
    file = names_file(os.environ)
    safe = [name for name in names if _NAME.fullmatch(name)][:_MOST]
    if file is None or not safe:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, ["".join(f"{name}\n" for name in safe).encode()])
    except OSError as error:
        log.debug("the names of the collections are not kept for completion: %s: %s", file, error.strerror)
