"""Mark the STAC item of an archive that was moved out of the way, by the version extension.

See https://github.com/stac-extensions/version.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from collgs_async.mirror.moving import stem_of
from collgs_async.storage.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["deprecate_item"]

log = logging.getLogger("collgs_async")

_EXTENSION: Final = "https://stac-extensions.github.io/version/v1.2.0/schema.json"


def deprecate_item(path: Path, successors: Sequence[Path]) -> None:
    """Mark an item as deprecated, and link it to that of its newest edition; a failure is a warning.

    Parameters
    ----------
    path
        The item, which need not exist.
    successors
        Newer archives, the newest first.
    """
    try:
        item = json.loads(path.read_bytes())
        write_whole(path, [json.dumps(_deprecated(item, path, successors), indent=1).encode() + b"\n"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        log.warning("%s: cannot be marked as deprecated: %s", path, error)


def _deprecated(item: dict[str, Any], path: Path, successors: Sequence[Path]) -> dict[str, Any]:
    item["properties"]["deprecated"] = True
    item["stac_extensions"] = sorted({*item.get("stac_extensions", ()), _EXTENSION})
    # The catalog of its former folder is not beside it.
    links = [link for link in item.get("links", ()) if link.get("rel") not in {"parent", "root", "successor-version"}]
    for archive in successors[:1]:
        newer = archive.with_name(f"{stem_of(archive)}.stac.json")
        href = quote(os.path.relpath(newer, path.parent), errors="replace")
        links.append({"rel": "successor-version", "href": href, "type": "application/geo+json"})
    item["links"] = links
    return item
