"""Members of real products: how many requests and bytes they take over one connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Config, Connection, DownloadOptions, PartsOptions
from collgs_async.models.product import Status
from tests.conftest import RecordedSleeps
from tests.support.golden import GOLDEN, write_sparse
from tests.support.servers import plain, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.golden import GoldenProduct
    from tests.support.servers import Asked

BLOCK = 2**20
MOST_SURPLUS = 700_000
"""Bytes besides the wanted members: local headers, the directory, and gaps that were not worth a request."""


class SparseStore:
    """Sends ranges of a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, path.stat().st_size
        self.ranges: list[str] = []
        self.asked = 0

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        wanted = asked.headers["range"]
        self.ranges.append(wanted)
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        assert found is not None
        first = int(found[1]) if found[1] else self.size - int(found[2])
        end = int(found[2]) + 1 if found[1] and found[2] else self.size
        self.asked += end - first
        span, length = f"bytes {first}-{end - 1}/{self.size}", str(end - first)
        yield plain(b"", "206 Partial Content", Content_Range=span, Content_Length=length, ETag='"v1"')
        with self.path.open("rb") as file:
            file.seek(first)
            for at in range(first, end, BLOCK):
                yield file.read(min(BLOCK, end - at))


async def fetch(store: SparseStore, product: GoldenProduct, folder: Path, wish: dict[str, Any]) -> Any:
    async with raw_server([(product.identifier, "/archive.zip")], store) as server:
        config = Config(
            base_url=f"{server.origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=folder,
            connection=Connection(timeout=60, retries=2, outage=0),
            download_options=DownloadOptions(workers=1),
            parts=PartsOptions(**wish),
        )
        async with Client(config, sleep=RecordedSleeps()) as client:
            return await client.download(await anext(aiter(client.search())))


@pytest.mark.parametrize("shuffled", [None, 1])
@pytest.mark.parametrize(
    ("kind", "wish", "members", "requests"),
    [
        pytest.param("L2A", {"bands": ["SCL"], "resolution": [20]}, 3, (4, 4), id="SCL of an L2A"),
        pytest.param("L2A", {"metadata_only": True}, 19, (4, 20), id="metadata of an L2A"),
        pytest.param("SLC", {"metadata_only": True}, 25, (7, 9), id="metadata of an SLC of 7 GB"),
        pytest.param("OLCI", {"bands": ["TIE", "FLAGS"]}, 5, (5, 6), id="tie points and flags of an OLCI"),
    ],
)
async def test_few_requests_bring_hardly_more_than_is_wanted(
    tmp_path: Path, kind: str, wish: dict[str, Any], members: int, requests: tuple[int, int], shuffled: int | None
) -> None:
    product = GOLDEN[kind]
    write_sparse(tmp_path / "archive.zip", product, shuffled=shuffled)
    store = SparseStore(tmp_path / "archive.zip")

    outcome = await fetch(store, product, tmp_path / "out", wish)

    tree = tmp_path / "out" / f"{product.identifier}.parts"
    files = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*") if path.is_file()}
    files.pop("parts.json")
    facts = {member.name: member for member in product.members}
    for name, path in files.items():
        member = facts[name]
        with path.open("rb") as file:
            assert (member.size, member.start) == (path.stat().st_size, file.read(len(member.start)))
    assert (Status.DOWNLOADED, members) == (outcome.status, len(files))
    assert len(store.ranges) <= requests[shuffled is not None]
    assert store.asked == outcome.bytes <= sum(facts[name].packed for name in files) + MOST_SURPLUS
