"""Several links to one archive: the best is tried first, and the next ones where it cannot be had."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import Client, Config, Connection, Plan
from collgs_async.catalogue.response import read_page
from tests.support.servers import listening

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async import Product, Report
    from tests.conftest import RecordedSleeps

BASE = "https://h.example/"
NAME = "S2A_MSIL1C_20250502T103001_N0511_R008_T31UGR_20250502T120001"


def archive(text: str = "right") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        zipped.writestr(f"{NAME}.SAFE/manifest.safe", text * 5000)
    return stream.getvalue()


RIGHT = archive()


def product(*links: object, **properties: object) -> Product:
    entry = {"properties": {"identifier": NAME, "links": {"data": list(links)}, **properties}}
    return read_page(200, json.dumps({"features": [entry]}).encode(), download_base=BASE).products[0]


def link(href: object, kind: str | None = "application/octet-stream", **more: object) -> dict[str, object]:
    return {"href": href, **({} if kind is None else {"type": kind}), **more}


@pytest.mark.parametrize(
    ("links", "tried"),
    [
        ([link("a.zip")], ["a.zip"]),
        ([link("x.jpg", "image/jpeg"), link("a.zip")], ["a.zip"]),
        ([link("x.jpg", None), link("a.zip", None)], ["a.zip"]),
        ([link("x.PNG?size=9"), link("a.zip")], ["a.zip"]),
        ([link("s3://eodata/P.SAFE"), link("a.zip")], ["a.zip"]),
        ([link("file:///data/P.zip", "application/zip"), link("a.zip", "application/zip")], ["a.zip"]),
        ([link("x.xml", "application/xml"), link("a.zip")], ["a.zip", "x.xml"]),
        ([link("x.json", None), link("a.zip")], ["a.zip", "x.json"]),
        ([link("x", "text/html; charset=utf-8"), link("a.zip")], ["a.zip", "x"]),
        ([{"type": "application/zip"}, link("a.zip")], ["a.zip"]),
        ([link(None), link(7), link("  "), link("a.zip")], ["a.zip"]),
        ([link("products/1/$value"), link("a.zip")], ["a.zip", "products/1/$value"]),
        ([link("products/1/$value", "application/zip"), link("a.zip")], ["products/1/$value", "a.zip"]),
        ([link("a.zip"), link("b.zip"), link("c.zip")], ["a.zip", "b.zip", "c.zip"]),
        ([link("a.zip"), link("a.zip"), link("b.zip")], ["a.zip", "b.zip"]),
        ([link("a", mediaType="image/png"), link("b", None, mediaType="application/zip")], ["b", "a"]),
        ([link("a", None, mediaType="image/png"), link("b")], ["b"]),
        ([link("http://[", "application/zip"), link("a.zip")], ["a.zip"]),
        ([link("x", "text/xml")], ["x"]),
        ([link(f"a{number}.zip") for number in range(20)], [f"a{number}.zip" for number in range(10)]),
        ([link("a.zip", None, type=["application/zip"])], ["a.zip"]),
    ],
)  # fmt: skip
def test_the_best_link_is_tried_first(links: list[object], tried: list[str]) -> None:
    found = product(*links)

    assert [BASE + one for one in tried] == [found.url, *found.alternatives]
    assert found.problem is None


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ([link("x.jpg", "image/jpeg")], "the catalogue gives no download link for it"),
        ([link("s3://eodata/P.SAFE"), link("x.jpg", "image/jpeg")], "its download link is not http or https"),
        ([link("file:///data/P.zip")], "its download link is not http or https"),
    ],
)
def test_without_a_link_that_can_be_an_archive_the_problem_says_why(links: list[object], problem: str) -> None:
    found = product(*links)

    assert (None, ()) == (found.url, found.alternatives)
    assert str(found.problem).startswith(problem)


def test_no_entry_is_looked_through_for_ever() -> None:
    found = product(*[link(f"http://h:99999/{number}", "application/zip") for number in range(100)], link("a.zip"))

    assert found.url is None
    assert str(found.problem).startswith("its download link is no URL")


def test_the_length_is_that_of_the_link_that_is_tried_first() -> None:
    found = product(link("x.xml", "application/xml", length=7), link("a.zip", length=1000))

    assert 1000 == found.size


def test_the_download_service_comes_last() -> None:
    found = product(link("a.zip"), services={"download": {"url": "https://h.example/b", "size": 5}})

    assert (BASE + "a.zip", (BASE + "b",), None) == (found.url, found.alternatives, found.size)


class Store:
    """A catalogue of one product with these links, and what is behind each of them."""

    def __init__(self, **behind: Any) -> None:
        self.behind = behind
        self.asked: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/search":
            links = {"data": [link(f"{name}.zip") for name in self.behind]}
            entry = {"properties": {"identifier": NAME, "links": links}}
            return web.Response(text=json.dumps({"features": [entry], "totalResults": 1}))
        self.asked.append(name := request.path.strip("/").removesuffix(".zip"))
        match self.behind[name]:
            case int() as status:
                return web.Response(status=status, text="not here")
            case str() as page:
                return web.Response(text=page, content_type="text/html")
            case body:
                return web.Response(body=body, content_type="application/zip")


async def pull(store: Store, folder: Path, sleeps: RecordedSleeps) -> Report:
    async with listening(store) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=folder,
            connection=Connection(timeout=60, retries=2),
        )
        async with Client(config, sleep=sleeps) as client:
            return await client.download_all()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(404, id="gone"),
        pytest.param(403, id="forbidden"),
        pytest.param(410, id="gone for good"),
        pytest.param("<html>Maintenance</html>", id="a page"),
        pytest.param(b"no archive at all", id="something else"),
        pytest.param(RIGHT[: len(RIGHT) // 2] + b"x" + RIGHT[len(RIGHT) // 2 + 1 :], id="damaged"),
        pytest.param(502, id="a gateway without its server"),
    ],
)
async def test_the_next_link_is_tried_where_the_first_has_nothing(
    tmp_path: Path, sleeps: RecordedSleeps, trouble: Any
) -> None:
    store = Store(a=trouble, b=RIGHT)
    report = await pull(store, tmp_path, sleeps)

    assert (1, 0) == (report.downloaded, report.failed)
    assert RIGHT == (tmp_path / f"{NAME}.zip").read_bytes()
    assert "b" == store.asked[-1]


async def test_a_first_link_that_works_is_the_only_one_asked(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(a=RIGHT, b=404)
    await pull(store, tmp_path, sleeps)

    assert ["a"] == store.asked


async def test_after_the_last_link_its_words_count(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(a=404, b=403)
    report = await pull(store, tmp_path, sleeps)

    assert ["a", "b"] == store.asked
    assert "HTTP 403: not here" == str(report.failures[0].error)


async def test_a_part_from_one_link_is_never_joined_with_another_archive(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    """The first link breaks in the middle of another version, the second has the right one."""
    other = archive("other")

    class Breaking(Store):
        async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
            if request.path != "/a.zip":
                return await super().__call__(request)
            self.asked.append("a")
            if len(self.asked) > 1:
                return web.Response(status=404)
            response = web.StreamResponse(headers={"Content-Length": str(len(other)), "ETag": '"1"'})
            await response.prepare(request)
            await response.write(other[: len(other) // 2])
            if request.transport is not None:
                request.transport.close()
            return response

    store = Breaking(a=None, b=RIGHT)
    report = await pull(store, tmp_path, sleeps)

    assert (1, 0) == (report.downloaded, report.failed)
    assert RIGHT == (tmp_path / f"{NAME}.zip").read_bytes()
    assert ["a", "a", "b"] == store.asked[:3]


def test_a_plan_carries_them_and_reads_without(tmp_path: Path) -> None:
    mirrored, plain = product(link("a.zip"), link("https://tom:secret@m.example/b.zip")), product(link("a.zip"))
    for one in (mirrored, plain):
        plan = Plan.of("https://h.example/search", [one], parameters={"parentIdentifier": "X"})
        plan.write(tmp_path / "plan.json")
        text = (tmp_path / "plan.json").read_text()
        (read,) = Plan.read(tmp_path / "plan.json").products
        assert one.alternatives == read.alternatives
        assert ("alternatives" in text) is bool(one.alternatives)
        assert "secret" not in text
