"""Which of the products that a search finds are wanted: stages that hand on or drop, and say why."""

from __future__ import annotations

from collgs_async.choosing.best import best
from collgs_async.choosing.latest import latest_baseline
from collgs_async.choosing.stages import Dropped, sift, why_not
from collgs_async.choosing.wishes import Best, Wishes

__all__ = ["Best", "Dropped", "Wishes", "best", "latest_baseline", "sift", "why_not"]
