"""Products on a map: one page of HTML that needs no network, and a piece of one for notebooks."""

from __future__ import annotations

from collgs_async.reporting.map.notebook import notebook_html
from collgs_async.reporting.map.page import page

__all__ = ["notebook_html", "page"]
