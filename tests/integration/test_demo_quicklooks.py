"""Each scene of the embedded catalogue has a picture, which can be late, broken or missing."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from collgs_async.demo.constellation import FIJI, make_constellation
from collgs_async.demo.faults import QUICKLOOK_FAULTS
from tests.support.demo import L2A, SCENE, SCENES, bench

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from tests.support.demo import Answer, Bench


@dataclass
class Picture:
    """A PNG image of numbered colours, read back."""

    colours: list[tuple[int, int, int]]

    @classmethod
    def read(cls, body: bytes) -> Picture:
        assert b"\x89PNG\r\n\x1a\n" == body[:8]
        chunks, at = {}, 8
        while at < len(body):
            length = int.from_bytes(body[at : at + 4])
            name, data = body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
            assert zlib.crc32(name + data) == int.from_bytes(body[at + 8 + length : at + 12 + length])
            chunks[name], at = data, at + 12 + length
        width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        assert (8, 3) == (depth, kind)
        rows = zlib.decompress(chunks[b"IDAT"])
        assert (width + 1) * height == len(rows)
        palette = list(zip(*[iter(chunks[b"PLTE"])] * 3, strict=True))
        numbers = [number for start in range(0, len(rows), width + 1) for number in rows[start + 1 : start + 1 + width]]
        return cls([palette[number] for number in numbers])

    @property
    def cloud(self) -> float:
        """Percent of what is seen that is white."""
        seen = [colour for colour in self.colours if any(colour)]
        return 100 * sum(min(colour) > 200 for colour in seen) / len(seen)

    @property
    def nothing(self) -> float:
        """Percent of the picture that is black."""
        return 100 * sum(not any(colour) for colour in self.colours) / len(self.colours)


async def look(it: Bench, scene: Scene) -> Answer:
    """Find a scene, and follow its link to the picture."""
    found = await it.search(f"parentIdentifier={scene.collection}&uid={scene.identifier}")
    (link,) = found.json["features"][0]["properties"]["links"]["previews"]
    return await it.ask(link["href"])


async def painted(folder: Path, *scenes: Scene) -> list[Picture]:
    async with bench(folder, list(scenes)) as it:
        return [Picture.read((await look(it, scene)).body) for scene in scenes]


async def test_each_scene_has_another_small_picture(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answers = [await look(it, scene) for scene in SCENES[:12]]
        again = await look(it, SCENES[0])

    assert {(200, "image/png")} == {(answer.status, answer.headers["Content-Type"]) for answer in answers}
    assert 12 == len({answer.body for answer in answers})
    assert all(300 < len(answer.body) < 10_000 for answer in answers)
    assert answers[0].body == again.body


@pytest.mark.parametrize("cover", [0, 20, 50, 99, 100])
async def test_shows_as_much_cloud_as_the_catalogue_says(tmp_path: Path, cover: int) -> None:
    (picture,) = await painted(tmp_path, replace(SCENE, cloud_cover=cover))

    assert cover == pytest.approx(picture.cloud, abs=0.1)


async def test_radar_is_grey(tmp_path: Path) -> None:
    (picture,) = await painted(tmp_path, next(scene for scene in SCENES if scene.cloud_cover is None))

    assert 10 < len(set(picture.colours))
    assert all(red == green == blue for red, green, blue in picture.colours)


async def test_is_black_where_the_swath_ends(tmp_path: Path) -> None:
    triangle = {"type": "Polygon", "coordinates": [[[6, 49], [7, 49], [6, 50], [6, 49]]]}
    square = {"type": "Polygon", "coordinates": [[[6, 49], [7, 49], [7, 50], [6, 50], [6, 49]]]}
    half, whole = await painted(
        tmp_path, replace(SCENE, identifier="half", footprint=triangle), replace(SCENE, footprint=square)
    )

    assert 50 == pytest.approx(half.nothing, abs=1)
    assert 0 == whole.nothing


@pytest.mark.parametrize("crossing", ["split", "beyond", "jumping"])
async def test_is_in_one_piece_across_the_antimeridian(tmp_path: Path, crossing: Any) -> None:
    scenes = make_constellation(200, tiles=FIJI, crossing=crossing)
    (picture,) = await painted(tmp_path, next(scene for scene in scenes if "T01KAB" in scene.identifier))

    assert 10 > picture.nothing


async def test_there_is_none_of_what_is_not_there(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answer = await it.ask("/catalog/oseo/quicklook?parentIdentifier=S2_MSIL2A&uid=UNKNOWN")
        elsewhere = await it.ask(f"/catalog/oseo/quicklook?parentIdentifier=S2_MSIL1C&uid={SCENE.identifier}")

    assert (404, 404) == (answer.status, elsewhere.status)
    assert "Could not locate the requested product" == ET.fromstring(answer.body).findtext("channel/item/title")


class TestFaults:
    def spoiled(self, folder: Path, name: str) -> Any:
        return bench(folder, quicklook_faults={SCENE.identifier: QUICKLOOK_FAULTS[name]})

    async def test_a_missing_one_is_missing_each_time_and_no_other_is(self, tmp_path: Path) -> None:
        async with self.spoiled(tmp_path, "missing") as it:
            assert [404, 404, 200] == [(await look(it, scene)).status for scene in (SCENE, SCENE, L2A[1])]
            assert 200 == (await it.fetch(SCENE)).status

    @pytest.mark.parametrize(("name", "status", "kind"), [("503", 503, "text/plain"), ("html", 200, "text/html")])
    async def test_something_else_comes_once(self, tmp_path: Path, name: str, status: int, kind: str) -> None:
        async with self.spoiled(tmp_path, name) as it:
            first, second = await look(it, SCENE), await look(it, SCENE)

        assert status == first.status
        assert first.headers["Content-Type"].startswith(kind)
        assert (200, "image/png") == (second.status, second.headers["Content-Type"])

    async def test_a_line_breaks_once(self, tmp_path: Path) -> None:
        async with self.spoiled(tmp_path, "cut") as it:
            first, second = await look(it, SCENE), await look(it, SCENE)

        assert first.broken
        assert not second.broken
        assert second.body.startswith(first.body)

    @pytest.mark.parametrize("name", ["slow", "stall"])
    async def test_one_takes_its_time(self, tmp_path: Path, name: str) -> None:
        query = {"parentIdentifier": SCENE.collection, "uid": SCENE.identifier}
        impatient = aiohttp.ClientTimeout(total=0.5)
        async with self.spoiled(tmp_path, name) as it:
            with pytest.raises(TimeoutError):
                async with it.session.get(
                    f"{it.server.origin}/catalog/oseo/quicklook", params=query, timeout=impatient
                ) as response:
                    await response.read()
            assert 200 == (await look(it, L2A[1])).status
