"""``collections`` and ``describe``: list the collections of the catalogue and their search parameters."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from collgs_async.cli.known_collections import keep_names
from collgs_async.client import Client
from collgs_async.config.settings import OPTIONS
from collgs_async.http.messages import json_text
from collgs_async.models.text import plural
from collgs_async.reporting.table import write_table

if TYPE_CHECKING:
    from collgs_async.catalogue.description import Description, Parameter
    from collgs_async.catalogue.response import Collection
    from collgs_async.config.settings import Config

__all__ = ["collections", "describe"]

log = logging.getLogger("collgs_async")

_OURS = {"startIndex", "httpAccept", "count", "uid", "parentId"}
"""Parameters set by the program itself, for paging."""

_FLAGS = {
    **{option.key.removeprefix("parameters."): option.flag for option in OPTIONS if "parameters." in option.key},
    "geometry": "--aoi",
    "orbitDirection": "--orbit-direction",
    "identifier": "--ids",
    "parentIdentifier": "--collection",
}


async def collections(config: Config, form: str) -> int:
    """List the collections of the catalogue."""
    async with Client(config) as client:
        found = await client.catalogue.collections()
    await asyncio.to_thread(keep_names, [collection.identifier for collection in found])
    if form == "json":
        sys.stdout.write(json_text([asdict(collection) for collection in found], indent=1) + "\n")
    else:
        write_table(["collection", "since", "what it is"], [_row(collection) for collection in found], sys.stdout)
    log.info("%s", plural(len(found), "collection") if found else "the catalogue lists no collections")
    return 0


def _row(collection: Collection) -> list[str]:
    since = (collection.start or "")[:10]
    until = f" to {collection.end[:10]}" if collection.end else ""
    what = collection.title or " ".join(
        part for part in (collection.platform, collection.instrument, collection.product_type) if part
    )
    return [collection.identifier, f"{since}{until}" or "-", what or "-"]


async def describe(config: Config, form: str) -> int:
    """Show the search parameters of the collection."""
    collection = config.needed_query().collection
    async with Client(config) as client:
        description = await client.catalogue.describe(collection)
    if description is None:
        log.error("the catalogue has no description document of %s; searches work without one", collection)
        return 1
    if form == "json":
        _write_json(collection, description)
        return 0
    rows = [_parameter(parameter) for parameter in description.parameters]
    write_table(["parameter", "set by", "values"], rows, sys.stdout)
    most = description.page_maximum
    log.info(
        "%s of %s%s",
        plural(len(rows), "search parameter"),
        collection,
        f"; a page has at most {plural(most, 'product')}" if most else "",
    )
    return 0


def _parameter(parameter: Parameter) -> list[str]:
    setter = "-" if parameter.name in _OURS else _FLAGS.get(parameter.name, f"--set {parameter.name}=...")
    values = ", ".join(parameter.choices) or parameter.range
    return [parameter.name, setter, values or "-"]


def _write_json(collection: str, description: Description) -> None:
    parameters = [asdict(parameter) for parameter in description.parameters]
    found = {"collection": collection, "page_maximum": description.page_maximum, "parameters": parameters}
    sys.stdout.write(json_text(found, indent=1) + "\n")
