"""Which of the products that a search finds are wanted: stages that hand on or drop, and say why."""

from __future__ import annotations

from collgs_async.choosing.best import Best, best
from collgs_async.choosing.latest import latest_baseline
from collgs_async.choosing.stages import Dropped
from collgs_async.choosing.wishes import Wishes, sift

__all__ = ["Best", "Dropped", "Wishes", "best", "latest_baseline", "sift"]
