"""Products on a map: an HTML page that needs no network, and a fragment for notebooks."""

from __future__ import annotations

from collgs_async.reporting.map.notebook import notebook_html
from collgs_async.reporting.map.page import page

__all__ = ["notebook_html", "page"]
