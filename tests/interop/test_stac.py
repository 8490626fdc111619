"""The catalog of an output folder, read by pystac from its top."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client
from collgs_async.config.keep_options import KeepOptions
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_pystac_walks_from_the_catalog_at_the_top_to_each_archive(serve: Callable[..., Any]) -> None:
    pystac = pytest.importorskip("pystac")
    pytest.importorskip("jsonschema")
    scenes = level2_scenes(4, size=100_000)
    site = await serve(scenes)
    config = replace(site.config(), keep=KeepOptions(stac=True, layout="{collection}/{tile}"))
    async with Client(config, sleep=site.sleeps) as client:
        assert (await client.download_all()).ok

    catalog = pystac.Catalog.from_file(str(site.folder / "catalog.json"))
    items = list(catalog.get_items(recursive=True))

    assert sorted(scene.identifier for scene in scenes) == sorted(item.id for item in items)
    for folder, children, _ in catalog.walk():
        assert folder.validate()
        assert all(child.get_parent().id == folder.id for child in children)
    for item in items:
        core = item.clone()
        core.stac_extensions = []  # their schemas are on the network
        assert core.validate()
        content = read(item.assets["archive"].get_absolute_href())
        extension = item.assets["archive"].ext.file
        assert (len(content), f"1220{hashlib.sha256(content).hexdigest()}") == (extension.size, extension.checksum)
        assert item.ext.grid.code.startswith("MGRS-")
        assert 0 <= item.ext.eo.cloud_cover <= 100
