"""Runs whose destination is an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.commands import COLLECTION

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.object_servers import Bucket

__all__ = ["at_store", "right_objects", "spooled"]


def at_store(site: Any, bucket: Bucket, spool: Path) -> tuple[object, ...]:
    """The words that lead from this site to this bucket."""
    return ("--base-url", site.server.url, *COLLECTION, "--output", bucket.url, "--spool", spool)


def right_objects(site: Any, bucket: Bucket, version: int = 0) -> bool:
    """Whether the bucket has the archives of a site, whole and right, and nothing else."""
    right = {site.archive(scene).name: site.original(scene, version) for scene in site.server.scenes}
    return bucket.keys() == sorted(right) and all(bucket.read(name) == data for name, data in right.items())


def spooled(spool: Path) -> list[str]:
    """The files in a spool: none, but for archives that are on their way."""
    return sorted(path.name for path in spool.rglob("*"))
