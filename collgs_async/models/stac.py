"""Products as SpatioTemporal Asset Catalog items (STAC 1.1.0, https://github.com/radiantearth/stac-spec).

Only what is known is written: an extension is named where one of its fields has a value. An item has no member
``collection``, which STAC permits beside a link to a collection only; the name is in the properties.
"""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from collgs_async.models.facts import facts_of, sensing_time
from collgs_async.models.geojson import bounding_box, properties, valid_geometry

if TYPE_CHECKING:
    from datetime import datetime

    from collgs_async.models.facts import Facts
    from collgs_async.models.product import Product

__all__ = ["stac_item"]

_VERSION: Final = "1.1.0"

_EXTENSIONS: Final = {
    "eo": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "grid": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "sar": "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
}

_INSTRUMENTS: Final = {"S1": "c-sar", "S2": "msi", "S3OL": "olci", "S3SL": "slstr", "S3SR": "sral", "S5": "tropomi"}
"""The instrument by mission, that of Sentinel-3 by mission and the begin of the type."""

_MEDIA_TYPES: Final = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}

_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


def stac_item(product: Product) -> dict[str, Any]:
    """Return a product as a STAC item; any JSON can hold it.

    Raises
    ------
    ValueError
        Neither entry nor name has a sensing time, which STAC requires.
    """
    facts = facts_of(product)
    geometry = valid_geometry(product.footprint)
    fields = {
        **_times(product, facts),
        **_common(product, facts),
        "eo:cloud_cover": _within(properties(product)["cloud_cover"], 100),
        "grid:code": facts.tile and f"MGRS-{facts.tile}",
        **_orbit(facts),
        **_radar(facts),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    assets = _assets(product)
    used = {name.partition(":")[0] for part in (known, *assets.values()) for name in part if ":" in name}
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [_EXTENSIONS[prefix] for prefix in sorted(used)],
        "id": product.identifier,
        "geometry": geometry,
        **({"bbox": bounding_box(geometry)} if geometry else {}),
        "properties": {"datetime": None, **known},
        "links": [],
        "assets": assets,
    }


def _times(product: Product, facts: Facts) -> dict[str, str | None]:
    """Return the start as the time of the item, and the range where both ends are known and in order."""
    start = sensing_time(product, facts.name)
    end = product.sensing_end or (facts.name.stop if facts.name else None)
    if start is None and end is None:
        raise ValueError("a STAC item needs a sensing time, and none is known")
    moment = {"datetime": _written(start or end)}
    if start is None or end is None or end < start:
        return moment
    return {**moment, "start_datetime": _written(start), "end_datetime": _written(end)}


def _written(moment: datetime | None) -> str | None:
    """Write a time as RFC 3339 §5.6 has it."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _common(product: Product, facts: Facts) -> dict[str, Any]:
    """Return the common metadata (STAC §common-metadata), and the collection."""
    mission = (facts.platform or "")[:2]
    instrument = _INSTRUMENTS.get(mission) or _INSTRUMENTS.get(mission + (facts.product_type or "")[:2])
    return {
        "platform": f"sentinel-{facts.platform[1:]}".lower() if facts.platform else product.platform,
        "constellation": f"sentinel-{mission[1]}" if mission else None,
        "instruments": [instrument] if instrument else None,
        "collection": product.collection,
    }


def _orbit(facts: Facts) -> dict[str, Any]:
    return {
        "sat:orbit_state": facts.orbit_direction and facts.orbit_direction.lower(),
        "sat:relative_orbit": facts.relative_orbit,
        "sat:absolute_orbit": facts.name and facts.name.absolute_orbit,
    }


def _radar(facts: Facts) -> dict[str, Any]:
    """Return the fields of the radar extension, which are required together; Sentinel-1 is in the C band."""
    name = facts.name
    if name is None or not name.mode or not facts.channels:
        return {}
    return {
        "sar:instrument_mode": name.mode,
        "sar:frequency_band": "C",
        "sar:polarizations": sorted(facts.channels),
        "sar:product_type": name.product_type,
    }


def _assets(product: Product) -> dict[str, dict[str, Any]]:
    assets: dict[str, dict[str, Any]] = {}
    if product.url is not None:
        size = _within(product.size, 2**63)
        assets["data"] = {
            "href": _without_userinfo(product.url),
            "title": "ZIP archive",
            "type": "application/zip",
            "roles": ["data"],
            **({} if size is None else {"file:size": size}),
        }
    if product.quicklook is not None:
        kind = _MEDIA_TYPES.get(_suffix(product.quicklook))
        assets["thumbnail"] = {
            "href": _without_userinfo(product.quicklook),
            "title": "Quicklook",
            **({"type": kind} if kind else {}),
            "roles": ["thumbnail"],
        }
    return assets


def _without_userinfo(url: str) -> str:
    return _USERINFO.sub(r"\1", url)


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        return ""


def _within(number: float | None, most: float) -> float | None:
    return number if number is not None and 0 <= number <= most else None
