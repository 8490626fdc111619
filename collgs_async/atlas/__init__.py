"""Products on a map: one page of HTML that needs no network, and a piece of one for notebooks."""

from __future__ import annotations

from collgs_async.atlas.notebook import fragment
from collgs_async.atlas.page import page

__all__ = ["fragment", "page"]
