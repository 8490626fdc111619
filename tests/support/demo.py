"""The embedded catalogue, asked by plain requests."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from collgs_async.demo.scenes import Scene


S1_NAME = re.compile(
    r"S1[A-D]_(?:S[1-6]|IW|EW|WV|EN|RF|N[1-6])_(?:RAW|SLC|GRD|OCN)[FHM_]_[012][SACN]"
    r"(?:SH|SV|DH|DV|HH|HV|VV|VH)_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}(?:_COG)?"
)


S2_NAME = re.compile(
    r"S2[A-D]_MSIL(?:1B|1C|2A)_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]_\d{8}T\d{6}"
)


SIZE = 30_000


SCENES = make_scenes(60, size=SIZE)


L2A = sorted(
    (scene for scene in SCENES if scene.collection == "S2_MSIL2A"),
    key=lambda scene: (-scene.start.timestamp(), scene.identifier),
)


SCENE = L2A[0]


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Bench:
    """A server and a plain client of it."""

    def __init__(self, server: DemoServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path or URL, exactly as written, and take what comes, also when the line breaks."""
        url = URL(urljoin(self.server.origin + "/", path), encoded=True)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = bytearray()
        async with self.session.request(method, url, headers=named, allow_redirects=False) as response:
            try:
                async for data in response.content.iter_any():
                    body += data
            except aiohttp.ClientError:
                return Answer(response.status, response.headers, bytes(body), broken=True)
            return Answer(response.status, response.headers, bytes(body))

    async def search(self, query: str = "parentIdentifier=S2_MSIL2A", *, accept: str = "json") -> Answer:
        return await self.ask(f"/catalog/oseo/search?{query}&httpAccept={accept}")

    async def fetch(self, scene: Scene = SCENE, method: str = "GET", **headers: str) -> Answer:
        return await self.ask(scene.location, method, **headers)


@asynccontextmanager
async def bench(folder: Path, scenes: list[Scene] | None = None, **options: Any) -> AsyncIterator[Bench]:
    timeout = aiohttp.ClientTimeout(total=HANGS)
    async with (
        DemoServer(SCENES if scenes is None else scenes, folder / "store", **options) as server,
        aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session,
    ):
        yield Bench(server, session)


def listing(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def names(answer: Answer) -> list[str]:
    return [feature["properties"]["identifier"] for feature in answer.json["features"]]
