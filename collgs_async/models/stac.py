"""Products as SpatioTemporal Asset Catalog items (STAC 1.1.0, https://github.com/radiantearth/stac-spec).

Only what is known is written: an extension is named where one of its fields has a value. An item has no member
``collection``, which STAC permits beside a link to a collection only; the name is in the properties. Fields that no
extension has begin with ``collgs:``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from collgs_async.models.facts import facts_of, sensing_time
from collgs_async.models.geojson import bounding_box, properties, valid_geometry
from collgs_async.models.member_facts import describe_member

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from collgs_async.models.facts import Facts
    from collgs_async.models.product import Product

__all__ = ["ITEM_CATALOG", "Retrieval", "StoredFile", "multihash", "stac_item"]

_VERSION: Final = "1.1.0"

_EXTENSIONS: Final = {
    "eo": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "grid": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "sar": "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
}

_INSTRUMENTS: Final = {"S1": "c-sar", "S2": "msi", "S3OL": "olci", "S3SL": "slstr", "S3SR": "sral", "S5": "tropomi"}
"""The instrument by mission, that of Sentinel-3 by mission and the begin of the type."""

_MEDIA_TYPES: Final = {
    ".gif": "image/gif",
    ".gml": "application/gml+xml",
    ".html": "text/html",
    ".jp2": "image/jp2",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".nc": "application/netcdf",
    ".png": "image/png",
    ".safe": "application/xml",
    ".tiff": "image/tiff; application=geotiff",
    ".webp": "image/webp",
    ".xml": "application/xml",
    ".xsd": "application/xml",
    ".zip": "application/zip",
}

ITEM_CATALOG: Final = "catalog.json"
"""Name of the catalog in the folder of an item, which is its parent."""

_OURS: Final = "collgs"
_SHA256_MULTIHASH: Final = "1220"
"""Code of SHA-256, and the length of its digest, in hexadecimal digits (https://github.com/multiformats/multihash)."""

_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a product on the disk.

    Attributes
    ----------
    path
        Relative to the folder of the item, with slashes.
    size
        Length in bytes.
    sha256
        SHA-256 in hexadecimal digits; None: not computed.
    member
        Name of the member of the archive; None: it is the archive itself.
    """

    path: str
    size: int
    sha256: str | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How the files of a product came to the disk; None: unknown.

    Attributes
    ----------
    files
        The archive, or members of it.
    retrieved, verified
        When they were downloaded and last verified: aware.
    how
        How they were verified: ``crc``, ``structure`` or ``size``.
    etag, last_modified
        Validators of the archive at the store (RFC 9110 §8.8).
    catalogue
        Search address of the catalogue.
    client
        Name and version of the program.
    """

    files: tuple[StoredFile, ...]
    retrieved: datetime | None = None
    verified: datetime | None = None
    how: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    catalogue: str | None = None
    client: str | None = None


def stac_item(product: Product, retrieval: Retrieval | None = None) -> dict[str, Any]:
    """Return a product as a STAC item; any JSON can hold it.

    Parameters
    ----------
    product
        The product.
    retrieval
        The files on the disk, which are the assets then, by addresses relative to the item; None: its archive at the
        store is.

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
        **_processing(facts),
        **(_provenance(product, retrieval) if retrieval else {}),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    assets = {**(_stored(retrieval.files) if retrieval else _remote(product)), **_thumbnail(product)}
    used = {name.partition(":")[0] for part in (known, *assets.values()) for name in part if ":" in name} - {_OURS}
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [_EXTENSIONS[prefix] for prefix in sorted(used)],
        "id": product.identifier,
        "geometry": geometry,
        **({"bbox": bounding_box(geometry)} if geometry else {}),
        "properties": {"datetime": None, **known},
        "links": list(_links(product, retrieval)) if retrieval else [],
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
        "created": _written(product.created),
        "updated": _written(product.updated),
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


def _processing(facts: Facts) -> dict[str, str | None]:
    """Return level and baseline, such as ``L2A`` and ``05.11``; Sentinel-3 counts collections: ``004``."""
    name = facts.name
    if name is None:
        return {}
    baseline = name.baseline or ()
    return {
        "processing:level": name.level and f"L{name.level}",
        "processing:version": ".".join(f"{number:0{3 if len(baseline) == 1 else 2}}" for number in baseline) or None,
    }


def _provenance(product: Product, retrieval: Retrieval) -> dict[str, Any]:
    """Return where the files are from, and what was verified."""
    verified = {"at": _written(retrieval.verified), "how": retrieval.how}
    return {
        "collgs:retrieved": _written(retrieval.retrieved),
        "collgs:verified": verified if retrieval.verified and retrieval.how else None,
        "collgs:source": product.url and _without_userinfo(product.url),
        "collgs:etag": retrieval.etag,
        "collgs:last_modified": retrieval.last_modified,
        "collgs:catalogue": retrieval.catalogue and _without_userinfo(retrieval.catalogue),
        "collgs:client": retrieval.client,
    }


def _links(product: Product, retrieval: Retrieval) -> Iterator[dict[str, str]]:
    """Yield links to the catalog in the same folder, so that the item may be moved with its files, and to the entry."""
    yield {"rel": "parent", "href": f"./{ITEM_CATALOG}", "type": "application/json"}
    if retrieval.catalogue:
        asked = {"parentIdentifier": product.collection, "identifier": product.identifier, "httpAccept": "json"}
        query = urlencode({name: value for name, value in asked.items() if value}, errors="replace")
        entry = f"{_without_userinfo(retrieval.catalogue)}{'&' if '?' in retrieval.catalogue else '?'}{query}"
        yield {"rel": "via", "href": entry, "type": "application/geo+json", "title": "entry of the catalogue"}


def _remote(product: Product) -> dict[str, dict[str, Any]]:
    if product.url is None:
        return {}
    size = _within(product.size, 2**63)
    data = {
        "href": _without_userinfo(product.url),
        "title": "ZIP archive",
        "type": "application/zip",
        "roles": ["data"],
        **({} if size is None else {"file:size": size}),
    }
    return {"data": data}


def _stored(files: Sequence[StoredFile]) -> dict[str, dict[str, Any]]:
    """Return the archive as the asset ``archive``; else members: bands by their name, others by that of their file."""
    names = [_asset_names(file) for file in files]
    often = Counter(name for some in names for name in some)
    return {
        next((name for name in some if often[name] == 1), file.path): _stored_asset(file)
        for some, file in zip(names, files, strict=True)
    }


def _asset_names(file: StoredFile) -> tuple[str, ...]:
    """Return possible names of an asset, the best one first, such as ``B02``, ``B02_10m``, ``IW1_VV``."""
    if file.member is None:
        return ("archive",)
    facts, name = describe_member(file.member), PurePosixPath(file.member).name
    if facts.role != "image" or facts.band is None:
        return (name,)
    if facts.resolution:
        return facts.band, f"{facts.band}_{facts.resolution}m", name
    return facts.band, f"{facts.swath or ''}_{facts.band}".lstrip("_"), name


def _stored_asset(file: StoredFile) -> dict[str, Any]:
    kind = _MEDIA_TYPES.get(PurePosixPath(file.path).suffix.lower())
    asset: dict[str, Any] = {"href": f"./{quote(file.path, errors='replace')}", **({"type": kind} if kind else {})}
    if file.member is None:
        asset |= {"title": "ZIP archive", "roles": ["data"]}
    else:
        facts = describe_member(file.member)
        asset["roles"] = ["data" if facts.role == "image" else "metadata"]
        if facts.role == "image" and facts.band:
            asset |= {"bands": [{"name": facts.band}], **({"gsd": facts.resolution} if facts.resolution else {})}
    return asset | {"file:size": file.size} | ({"file:checksum": multihash(file.sha256)} if file.sha256 else {})


def multihash(sha256: str) -> str:
    """Return a SHA-256 in hexadecimal digits as ``file:checksum`` has it (file extension 2.1.0)."""
    return _SHA256_MULTIHASH + sha256.lower()


def _thumbnail(product: Product) -> dict[str, dict[str, Any]]:
    if product.quicklook is None:
        return {}
    kind = _MEDIA_TYPES.get(_suffix(product.quicklook))
    thumbnail = {
        "href": _without_userinfo(product.quicklook),
        "title": "Quicklook",
        **({"type": kind} if kind and kind.startswith("image/") else {}),
        "roles": ["thumbnail"],
    }
    return {"thumbnail": thumbnail}


def _without_userinfo(url: str) -> str:
    return _USERINFO.sub(r"\1", url)


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        return ""


def _within(number: float | None, most: float) -> float | None:
    return number if number is not None and 0 <= number <= most else None
