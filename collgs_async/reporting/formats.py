"""Names of the formats of listings; apart from what writes them, as each start of the command line needs them."""

from __future__ import annotations

from typing import Final

__all__ = ["EXPORT_FORMATS", "FORMATS", "MEMBER_FORMATS"]

FORMATS: Final = ("table", "json", "jsonl", "geojson", "stac", "csv", "urls")
"""Of products: `reporting.listing`."""

MEMBER_FORMATS: Final = ("table", "json", "jsonl", "csv")
"""Of the members of archives: `reporting.member_listing`."""

EXPORT_FORMATS: Final = ("jsonl", "csv", "sha256sums")
"""Of a ledger: `reporting.ledger_export`."""
