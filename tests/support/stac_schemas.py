"""The published JSON schemas of STAC 1.1.0 and its extensions, so that no test needs the network.

`stac_schemas.json` has them by their address. Those of the specification and of GeoJSON are those in pystac 1.13.0,
those of extensions are from the tags of their repositories at https://github.com/stac-extensions; all have the Apache
License 2.0. The `$id` of common.json has a slip of the pen, so its address is the one that others refer to.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT7

__all__ = ["schema_problems"]

_CORE = "https://schemas.stacspec.org/v1.1.0"
_KINDS = {
    "Feature": f"{_CORE}/item-spec/json-schema/item.json",
    "Catalog": f"{_CORE}/catalog-spec/json-schema/catalog.json",
}


def schema_problems(document: dict[str, Any]) -> list[str]:
    """Where a STAC item or catalog is not as the schemas of its kind and of its extensions demand; empty: nowhere."""
    addresses = [_KINDS[document["type"]], *document.get("stac_extensions", ())]
    return [
        f"{address}: {error.json_path}: {error.message}"
        for address in addresses
        for error in _validator(address).iter_errors(document)
    ]


@cache
def _validator(address: str) -> Draft7Validator:
    schemas: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())
    registry: Registry[Any] = Registry().with_resources(
        (each, DRAFT7.create_resource(schema)) for each, schema in schemas.items()
    )
    return Draft7Validator(schemas[address], registry=registry, format_checker=FormatChecker())
