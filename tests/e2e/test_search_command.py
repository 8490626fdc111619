"""``search``, ``--dry-run``, ``quicklooks``, ``collections`` and ``describe``, as a user meets them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import struct
import sys
from fcntl import ioctl
from termios import TIOCSWINSZ
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config, Product, Products, Selection, Wish, sync
from collgs_async.cli.commands import map as map_command
from collgs_async.cli.parser import parse
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.faults import QUICKLOOK_FAULTS
from collgs_async.demo.scenes import make_scenes
from collgs_async.errors import CatalogueError, ConfigError
from collgs_async.reporting.ordering import read_order, sort_by
from collgs_async.reporting.table import write_table
from tests.conftest import level2_scenes
from tests.support.chromium import running_chromium
from tests.support.commands import at_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import CommandHere, Ended


def last_line(ended: Ended) -> str:
    return ended.err.splitlines()[-1]


def identifiers(ended: Ended) -> list[str]:
    return [product["identifier"] for product in json.loads(ended.out)]


# ---------------------------------------------------------------------------------------------- the order


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("time", lambda product: product["start"]),
        ("cloud", lambda product: product["cloud_cover"]),
        ("identifier", lambda product: product["identifier"]),
        ("orbit,time", lambda product: (product["orbit_number"], product["start"])),
        ("size", lambda product: product["size"]),
    ],
)
async def test_products_are_sorted_as_asked(
    serve: Callable[..., Any], run_cli: CommandHere, words: str, key: Callable[[Any], Any]
) -> None:
    site = await serve(level2_scenes(12), dialect=Dialect(sizes=True), page_maximum=5)

    forwards = await run_cli("search", *at_url(site), "--sort", words, "--format", "json")
    backwards = await run_cli("search", *at_url(site), "--sort", f"-{words.replace(',', ',-')}", "--format", "json")

    products = json.loads(forwards.out)
    assert 12 == len(products)
    assert sorted(map(key, products)) == list(map(key, products))
    assert sorted(map(key, products), reverse=True) == [key(product) for product in json.loads(backwards.out)]


@pytest.mark.parametrize(("words", "expected"), [("cloud", "ABC"), ("-cloud", "BAC")])
async def test_what_is_unknown_comes_last_in_both_directions(words: str, expected: str) -> None:
    async def products() -> AsyncIterator[Product]:
        for name, cloud in (("C", None), ("B", 20.0), ("A", 3.0)):
            yield Product(name, None, cloud_cover=cloud)

    assert list(expected) == [product.identifier async for product in sort_by(products(), read_order(words))]


def test_an_order_that_there_is_not_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"^--sort: expected time, cloud, .* found 'clouds'; did you mean cloud\?$"):
        read_order("-time,clouds")


async def test_what_was_found_before_the_search_failed_is_sorted_and_handed_on() -> None:
    async def products() -> AsyncIterator[Product]:
        for name in ("C", "A", "B"):
            yield Product(name, None)
        raise CatalogueError("HTTP 500")

    seen = []

    async def see_all() -> None:
        async for product in sort_by(products(), read_order("identifier")):
            seen.append(product.identifier)  # noqa: PERF401

    with pytest.raises(CatalogueError, match="HTTP 500"):
        await see_all()
    assert ["A", "B", "C"] == seen


# ---------------------------------------------------------------------------------------------- the last line


async def test_the_last_line_tells_products_dates_and_size(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(6)
    site = await serve(scenes)

    ended = await run_cli("search", *at_url(site), "--sizes")

    days = sorted(f"{scene.start:%Y-%m-%d}" for scene in scenes)
    size = sum(len(site.original(scene)) for scene in scenes)
    assert 0 == ended.code
    assert f"6 of 6 that match, sensed {days[0]} to {days[-1]}, {size / 1e6:.1f} MB" == last_line(ended)


async def test_the_last_line_tells_what_was_left_out_and_why(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(6)
    site = await serve(scenes)

    ended = await run_cli("search", *at_url(site), "--platform", "S2A")

    others = sum(not scene.identifier.startswith("S2A") for scene in scenes)
    assert 0 < others < 6
    assert re.search(rf"^{6 - others} of 6 that match, .*\. Left out: {others} \(.*\)\.$", last_line(ended))


async def test_without_sizes_the_last_line_says_how_to_get_them(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2))

    assert last_line(await run_cli("search", *at_url(site))).endswith("size not known (--sizes asks the store)")
    assert [] == site.archive_hits()


async def test_a_dry_run_with_sizes_tells_what_the_disk_needs(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes)
    site.folder.mkdir()
    site.archive(scenes[0]).write_bytes(site.original(scenes[0]))

    ended = await run_cli("--dry-run", "--sizes", *at_url(site), "--format", "json")

    size = sum(len(site.original(scene)) for scene in scenes[1:])
    told = f"{size / 1e3:.0f} kB"
    assert sum(product["size"] for product in json.loads(ended.out)) == size
    assert re.search(rf"^{told} of disk needed in .*, [0-9.]+ [kMGTP]B free$", ended.err, re.MULTILINE)
    assert re.fullmatch(rf"3 of 4 that match would be pulled, 1 already here, sensed .*, {told}", last_line(ended))


# ---------------------------------------------------------------------------------------------- the terminal


def on_terminal(columns: int, *words: object, **environ: str) -> list[str]:
    """Run the command on a terminal of so many columns, and give the lines of its standard output."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "collgs_async", *map(str, words)],
        {**clean, "TERM": "xterm-256color", "COLUMNS": str(columns), **environ},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_CLOSE, ours),
        ],
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return said.decode().splitlines()


@pytest.mark.parametrize("columns", [80, 200])
async def test_a_table_fits_its_terminal_with_whole_identifiers(serve: Callable[..., Any], columns: int) -> None:
    scenes = level2_scenes(25)
    site = await serve(scenes)

    header, *lines = await asyncio.to_thread(on_terminal, columns, "search", *at_url(site), NO_COLOR="1")

    assert max(map(len, [header, *lines])) <= columns
    assert {scene.identifier for scene in scenes} == {line.split()[0] for line in lines}
    assert "cloud %" in header
    assert ("sensing start" in header) == (columns == 200)
    assert "size" not in header  # none is known


async def test_a_header_is_bold_on_a_terminal_only(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))

    header, *lines = await asyncio.to_thread(on_terminal, 80, "search", *at_url(site))
    piped = await run_cli("search", *at_url(site), FORCE_COLOR="1")

    assert header.startswith("\x1b[1midentifier")
    assert header.endswith("\x1b[0m")
    assert "\x1b" not in "".join(lines)
    assert "\x1b" not in piped.out


# ---------------------------------------------------------------------------------------------- the map


async def test_a_map_holds_the_scenes_the_area_and_the_pictures(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(5)
    site = await serve(scenes)

    ended = await run_cli("search", *at_url(site), "--map", "scenes.html", "--format", "json")

    page = (run_cli.folder / "scenes.html").read_text("utf-8")
    assert 0 == ended.code
    assert all(scene.identifier in page for scene in scenes)
    assert 5 == page.count("data:image/png;base64,")
    assert "the map is in scenes.html" in ended.err
    assert 5 == len(identifiers(ended))  # the list is there all the same


async def test_a_map_names_the_query_and_the_command_that_comes_next(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))

    await run_cli("search", *at_url(site), "--start", "2015-07-01", "--cloud-cover", "0,90", "--map", "scenes.html")

    page = (run_cli.folder / "scenes.html").read_text("utf-8")
    data = json.loads(page.partition('id="scenes-data">')[2].partition("</script>")[0])
    assert ["sensed since 2015-07-01", "at most 90 % cloud"] == data["query"]
    assert (
        f"collgs-async download --base-url {site.server.url} --collection S2_MSIL2A --ids chosen.txt" == data["command"]
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--tiles", "https://tiles.example/{z}/{x}/{y}"], "error: --tiles: expected --map beside it, found none"),
        (["--tiles-credit", "A"], "error: --tiles-credit: expected --tiles beside it, found none"),
        (
            ["--map", "a.html", "--tiles", "https://user:secret@tiles.example/{z}/{x}/{y}"],
            "error: --tiles: expected",
        ),
    ],
)
async def test_tiles_that_cannot_be_shown_are_refused_before_the_search(
    serve: Callable[..., Any], run_cli: CommandHere, words: list[str], error: str
) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli("search", *at_url(site), *words)

    assert 2 == ended.code
    assert ended.err.startswith(error)
    assert "secret" not in ended.err
    assert [] == site.server.requests


async def test_a_map_with_tiles(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    tiles = ("--tiles", "https://tiles.example/{z}/{x}/{y}.png", "--tiles-credit", "© Somebody")

    ended = await run_cli("search", *at_url(site), "--map", "scenes.html", *tiles)

    assert 0 == ended.code
    page = (run_cli.folder / "scenes.html").read_text("utf-8")
    assert "img-src data: https://tiles.example;" in page
    assert "\\u00a9 Somebody" in page


def test_the_next_command_has_the_configuration_but_no_password() -> None:
    arguments = ["search", "--base-url", "https://user:secret@catalogue.example/search", "--config", "my own.json"]

    command = map_command.download_command(parse(arguments), "S2_MSIL2A", Wish())
    of_parts = map_command.download_command(parse(arguments), "S2_MSIL2A", Wish(bands=("SCL",), members=("*.png",)))

    assert "collgs-async download --config 'my own.json' --collection S2_MSIL2A --ids chosen.txt" == command
    assert f"{command} --bands SCL --members '*.png'" == of_parts


async def test_it_is_told_how_many_pictures_have_come(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(map_command, "REPORT_INTERVAL", 0.0)
    caplog.set_level("INFO", "collgs_async")
    site = await serve(level2_scenes(3))

    async with site.client() as client:
        choice = client.search()
        products = [product async for product in choice]
        await map_command.write_map(tmp_path / "map.html", products, client, choice, quicklooks=True, error=None)

    told = [message for message in caplog.messages if "so far" in message]
    assert [f"{number} of 3 quicklooks so far" for number in range(3)] == told


async def test_without_quicklooks_no_picture_is_requested(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))

    ended = await run_cli("search", *at_url(site), "--map", "scenes.html", "--no-quicklooks")

    assert 0 == ended.code
    assert "data:image/png" not in (run_cli.folder / "scenes.html").read_text("utf-8")
    assert not [hit for hit in site.server.requests if "quicklook" in hit.path]


async def test_pictures_that_cannot_be_had_leave_the_map_as_it_is(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3)
    broken = {scene.identifier: (QUICKLOOK_FAULTS["html"],) * 9 for scene in scenes[1:]}
    site = await serve(scenes, quicklook_faults=broken)

    ended = await run_cli("search", *at_url(site), "--map", "scenes.html")

    assert 0 == ended.code
    assert "2 quicklooks could not be had" in ended.err
    assert 1 == (run_cli.folder / "scenes.html").read_text("utf-8").count("data:image/png;base64,")


async def test_a_catalogue_that_has_no_picture_at_all_is_not_asked_for_each(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(40)
    missing = {scene.identifier: (QUICKLOOK_FAULTS["missing"],) for scene in scenes}
    site = await serve(scenes, quicklook_faults=missing)

    ended = await run_cli("search", *at_url(site), "--map", "scenes.html")

    assert 0 == ended.code
    assert "10 quicklooks could not be had" in ended.err
    assert len([hit for hit in site.server.requests if "quicklook" in hit.path]) < 25


@pytest.mark.parametrize("place", [".", "nowhere/scenes.html"])
async def test_a_map_that_cannot_be_written_is_refused_before_the_search(
    serve: Callable[..., Any], run_cli: CommandHere, place: str
) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli("search", *at_url(site), "--map", place)

    assert 2 == ended.code
    assert ended.err.startswith("error: --map: expected ")
    assert [] == site.server.requests


async def test_the_map_opens_in_a_browser_and_sends_no_request(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(4))
    area = "POLYGON((-10 40,30 40,30 60,-10 60,-10 40))"
    await run_cli("search", *at_url(site), "--aoi", area, "--map", "scenes.html", "--format", "urls")
    site.server.forget()

    def look() -> tuple[list[str], list[Any], list[Any]]:
        with running_chromium(tmp_path / "profile") as browser:
            tab = browser.open(run_cli.folder / "scenes.html")
            asked = [
                event["request"]["url"]
                for event in tab.events("Network.requestWillBeSent")
                if not event["request"]["url"].startswith(("file:", "data:"))
            ]
            return tab.texts(".row .name"), asked, tab.events("Runtime.exceptionThrown")

    names, asked, thrown = await asyncio.to_thread(look)

    assert names
    assert ([], []) == (asked, thrown)
    assert [] == site.server.requests


# ---------------------------------------------------------------------------------------------- quicklooks


async def test_quicklooks_are_saved_under_safe_names_with_their_right_suffix(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes)

    ended = await run_cli("quicklooks", *at_url(site))

    expected = sorted(f"{scene.identifier}.png" for scene in scenes)
    assert (0, "4 saved") == (ended.code, last_line(ended))
    assert expected == sorted(path.name for path in site.folder.iterdir())
    assert expected == sorted(line.rpartition("/")[2] for line in ended.out.splitlines())
    assert [] == site.archive_hits()


async def test_quicklooks_that_are_here_are_not_fetched_again(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    site.folder.mkdir()
    (site.folder / f"{scenes[0].identifier}.jpg").write_bytes(b"mine")

    ended = await run_cli("quicklooks", *at_url(site))
    again = await run_cli("quicklooks", *at_url(site))

    assert (0, "2 saved, 1 already here") == (ended.code, last_line(ended))
    assert (0, "0 saved, 3 already here") == (again.code, last_line(again))
    assert b"mine" == (site.folder / f"{scenes[0].identifier}.jpg").read_bytes()


async def test_a_quicklook_that_cannot_be_had_is_named_and_the_others_are_saved(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3)
    broken = {scenes[1].identifier: (QUICKLOOK_FAULTS["html"],) * 9}
    site = await serve(scenes, quicklook_faults=broken)

    ended = await run_cli("quicklooks", *at_url(site))

    assert (1, "2 saved, 1 failed") == (ended.code, last_line(ended))
    assert f"{scenes[1].identifier}: its quicklook cannot be had" in ended.err


# ---------------------------------------------------------------------------------------------- asking


def test_a_table_of_the_catalogue_has_no_column_of_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(["name", "since", "what"], [["A", "-", "漢字"], ["B", "-", "-"]], sys.stdout)
    assert ["name  what", "A     漢字", "B     -"] == capsys.readouterr().out.splitlines()


async def test_collections_are_listed(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(make_scenes(3))

    table = await run_cli("collections", "--base-url", site.server.url)
    objects = await run_cli("collections", "--base-url", site.server.url, "--format", "json")

    names = ["S1_SAR_GRD", "S2_MSIL1C", "S2_MSIL2A"]
    assert (0, "3 collections") == (table.code, last_line(table))
    assert names == [line.split()[0] for line in table.out.splitlines()[1:]]
    assert names == [collection["identifier"] for collection in json.loads(objects.out)]


async def test_a_collection_is_described(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(make_scenes(3), page_maximum=20)

    table = await run_cli("describe", "S1_SAR_GRD", "--base-url", site.server.url)
    objects = await run_cli("describe", "S1_SAR_GRD", "--base-url", site.server.url, "--format", "json")

    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in table.out.splitlines()}
    described = json.loads(objects.out)
    assert 0 == table.code
    assert ["--bbox", "-"] == rows["box"].split()
    assert rows["lat"].endswith("-90 to 90")
    assert "cloudCover" not in rows
    assert "a page has at most 20 products" in last_line(table)
    assert ("S1_SAR_GRD", 20) == (described["collection"], described["page_maximum"])
    assert set(rows) - {"parameter"} == {parameter["name"] for parameter in described["parameters"]}


async def test_a_catalogue_without_descriptions_says_so(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(make_scenes(3), dialect=Dialect(description=None))

    ended = await run_cli("describe", "S1_SAR_GRD", "--base-url", site.server.url)

    assert (1, "") == (ended.code, ended.out)
    assert "the catalogue has no description document of S1_SAR_GRD" in ended.err


async def test_strict_refuses_what_the_collection_lacks(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli("--strict", *at_url(site), "--set", "orbitDirektion=ASCENDING")

    assert 2 == ended.code
    assert "S2_MSIL2A has no search parameter orbitDirektion; did you mean orbitDirection?" in ended.err
    assert ["description"] == [hit.path.rpartition("/")[2] for hit in site.server.requests]


async def test_strict_never_refuses_the_keys_of_the_original_tool(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))
    keys = {"productType": "S2MSI2A", "platform": "Sentinel-2", "cloudCover": "[0,100]", "maxRecords": 9}
    config = {"base_url": site.server.url, "parameters": {"parentIdentifier": "S2_MSIL2A", **keys}}
    (run_cli.folder / "config.json").write_text(json.dumps(config))

    ended = await run_cli("search", "--strict")

    assert 0 == ended.code
    assert "S2_MSIL2A has no search parameter productType" in ended.err


# ---------------------------------------------------------------------------------------------- notebooks


async def test_a_notebook_shows_what_a_search_finds_as_a_table_and_a_map(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)

    found = await asyncio.to_thread(sync.search, site.config())

    shown = found._repr_html_()
    assert isinstance(found, Products)
    assert isinstance(found, list)
    assert sorted(scene.identifier for scene in scenes) == sorted(product.identifier for product in found)
    assert shown.startswith("<table")
    assert "<iframe" in shown
    assert all(scene.identifier in shown for scene in scenes)


async def test_the_area_of_a_search_is_on_the_notebooks_map(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(3))
    plain = site.config()
    area = Selection(aoi="POINT(6.13 49.61)")
    config = Config(base_url=plain.base_url, parameters=plain.parameters, selection=area)

    assert (await asyncio.to_thread(sync.search, plain)).area is None
    assert (await asyncio.to_thread(sync.search, config)).area is not None
