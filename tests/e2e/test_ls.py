"""`collgs-async ls`, and listings of what the wanted members of archives take."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import ArchiveMember, MemberList, Product
from collgs_async.cli.parser import command_parser
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.login import SignIn
from collgs_async.demo.scenes import make_scenes
from collgs_async.models.product_types import usual_collection
from collgs_async.models.sentinel import parse
from collgs_async.models.text import format_bytes
from collgs_async.models.width import text_width
from collgs_async.reporting.formats import MEMBER_FORMATS
from collgs_async.reporting.member_listing import MemberListing
from tests.conftest import level2_scenes
from tests.support.commands import at_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere, Ended

SIZE = 6_000_000


async def ls(run_cli: CommandHere, site: Any, *words: object) -> Ended:
    return await run_cli("ls", "--base-url", site.server.url, "--retries", 1, "-o", site.folder, *words)


async def test_the_members_are_a_table_and_their_sum_a_message(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])

    ended = await ls(run_cli, site, scene.identifier, "--bands", "B02,SCL", "--resolution", 20)

    lines = ended.out.splitlines()
    assert ["band", "pixel", "size", "packed", "member"] == lines[0].split()
    assert [("-", "MTD_MSIL2A.xml"), ("B02", "B02_20m.jp2"), ("SCL", "SCL_20m.jp2"), ("-", "MTD_TL.xml")] == [
        (line.split()[0], line.replace("/", " ").replace("_B", " B").replace("_S", " S").split()[-1])
        for line in lines[1:]
    ]
    assert f"{scene.identifier}: 4 of " in ended.err
    assert (0, 1) == (ended.code, len(site.archive_hits()))


async def test_without_a_wish_all_members_are_listed(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])

    ended = await ls(run_cli, site, scene.identifier, "--format", "json")

    [archive] = json.loads(ended.out)
    assert (scene.identifier, scene.size, None) == (archive["identifier"], archive["size"], archive["wanted"])
    assert archive["count"] == len(archive["members"]) > 50
    assert {"name", "size", "packed", "band", "resolution", "here"} == set(archive["members"][0])


async def test_several_are_listed_and_what_fails_is_named_and_is_exit_code_1(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scenes[1].identifier: FAULTS["missing"]})
    (run_cli.folder / "chosen.txt").write_text("\n".join([*(scene.identifier for scene in scenes), "nothing"]))

    ended = await ls(
        run_cli, site, "--ids", "chosen.txt", "--collection", "S2_MSIL2A", "--bands", "SCL", "--format", "csv"
    )

    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert {scenes[0].identifier, scenes[2].identifier} == {row["identifier"] for row in rows}
    assert {"SCL", ""} == {row["band"] for row in rows}
    assert f"{scenes[1].identifier}: HTTP 404" in ended.err
    assert "Not found in collection S2_MSIL2A of the catalogue, of what was asked for by identifier: 1" in ended.err
    assert 1 == ended.code


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
async def test_one_that_cannot_be_listed_leaves_an_empty_list(
    serve: Callable[..., Any], run_cli: CommandHere, form: str
) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene], faults={scene.identifier: FAULTS["missing"]})

    ended = await ls(run_cli, site, scene.identifier, "--format", form)

    assert {"table": "", "json": "[]\n", "jsonl": "", "csv": "identifier,name,size,packed,band,resolution,here\n"}[
        form
    ] == ended.out
    assert 1 == ended.code


@pytest.mark.parametrize("collection", ["S1_SAR_GRD", "S2_MSIL1C", "S2_MSIL2A"])
def test_the_name_of_a_product_tells_its_collection(collection: str) -> None:
    names = [parse(scene.identifier) for scene in make_scenes(12) if scene.collection == collection]

    assert {collection} == {usual_collection(name) for name in names if name}


def test_the_collection_of_another_mission() -> None:
    name = parse("S3A_OL_1_EFR____20210924T103031_20210924T103331_20210925T134520_0179_076_279_1980_LN1_O_NT_002")

    assert name is not None
    assert "S3_OL_1_EFR" == usual_collection(name)


async def test_the_selection_of_the_configuration_leaves_no_named_product_out(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])
    (run_cli.folder / "config.json").write_text(
        json.dumps({"parameters": {"parentIdentifier": "S2_MSIL2A", "timeStart": "2030-01-01"}})
    )

    ended = await ls(run_cli, site, scene.identifier)

    assert 0 == ended.code


async def test_an_identifier_goes_before_the_collection_of_file_and_environment_and_a_flag_before_it(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])
    (run_cli.folder / "config.json").write_text(json.dumps({"parameters": {"parentIdentifier": "S1_SAR_GRD"}}))

    told = await ls(run_cli, site, scene.identifier, "--bands", "SCL")
    also = await run_cli("ls", scene.identifier, "--base-url", site.server.url, COLLGS_COLLECTION="S2_MSIL1C")
    flag = await ls(run_cli, site, scene.identifier, "--collection", "S2_MSIL1C")
    file = await ls(run_cli, site, "whatever")

    assert (0, 0, 1, 1) == (told.code, also.code, flag.code, file.code)
    assert "Not found in collection S2_MSIL1C of the catalogue" in flag.err
    assert "Not found in collection S1_SAR_GRD of the catalogue" in file.err


async def test_a_table_and_csv_tell_what_is_here(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])
    await site.pull(members=["*_B02_10m.jp2"])
    asked = (scene.identifier, "--members", "*_B0[23]_10m.jp2")

    table = await ls(run_cli, site, *asked)
    rows = list(csv.DictReader(io.StringIO((await ls(run_cli, site, *asked, "--format", "csv")).out)))

    heads, *lines = table.out.splitlines()
    assert ["band", "pixel", "size", "packed", "here", "member"] == heads.split()
    assert [("B02", True), ("B03", False)] == [(line.split()[0], " yes " in line) for line in lines]
    assert [("B02", "True"), ("B03", "False")] == [(row["band"], row["here"]) for row in rows]


def test_the_help_shows_only_what_has_an_effect() -> None:
    text = command_parser("ls").format_help()

    assert "--bands" in text
    assert "--else-whole" not in text
    assert "--keep-part" not in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "ls: expected the identifier of a product, or --ids, found none"),
        (("whatever",), "--collection: expected that of whatever, whose name does not tell it, found none"),
        (("a b",), 'PRODUCT, line 1: expected the identifier of a product, found "a b"'),
        (
            ("S2A_MSIL1C_20210924T103031_N0301_R108_T31UGR_20210924T134520", "--bands", "SCL"),
            "--bands: expected bands of S2_MSIL1C",
        ),
    ],
)
async def test_what_cannot_be_asked_for_is_said_before_any_request(
    serve: Callable[..., Any], run_cli: CommandHere, words: tuple[str, ...], problem: str
) -> None:
    site = await serve(level2_scenes(1))

    ended = await ls(run_cli, site, *words)

    assert (2, "") == (ended.code, ended.out)
    assert problem in ended.err
    assert [] == site.server.requests


# ------------------------------------------------------------------------------------------ sizes of what is wanted


async def test_a_search_shows_what_the_wanted_members_take(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes)
    asked = ("--collection", "S2_MSIL2A", "--base-url", site.server.url, "--bands", "SCL")

    silent = await run_cli("search", *asked, "--format", "jsonl")
    requests = len(site.archive_hits())
    listed = await run_cli("search", *asked, "--sizes", "--format", "jsonl")
    table = await run_cli("search", *asked, "--sizes")

    sizes = {scene.identifier: scene.size for scene in scenes}
    products = [json.loads(line) for line in listed.out.splitlines()]
    assert sizes == {one["identifier"]: one["size"] for one in products}
    assert all(0 < one["wanted"] < one["size"] / 10 for one in products)
    assert {None} == {json.loads(line)["wanted"] for line in silent.out.splitlines()}
    assert 0 == requests
    assert "size not known (--sizes asks the store)" in silent.err
    assert "wanted" in table.out.splitlines()[0]
    assert f" of {sum(sizes.values()) / 1e6:.1f} MB (" in table.err


async def test_a_dry_run_counts_what_is_here(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes)
    asked = ("--collection", "S2_MSIL2A", "--base-url", site.server.url, "-o", site.folder)
    dry_run = ("--dry-run", "--sizes", "--report", "report.json")

    before = await run_cli(*asked, "--bands", "B02,B03", *dry_run)
    first = json.loads((run_cli.folder / "report.json").read_text())
    await run_cli(*asked, "--bands", "B02")
    half = await run_cli(*asked, "--bands", "B02,B03", *dry_run)
    middle = json.loads((run_cli.folder / "report.json").read_text())
    after = await run_cli(*asked, "--bands", "B02", *dry_run)
    last = json.loads((run_cli.folder / "report.json").read_text())
    await run_cli(*asked, "--bands", "B02,B03", "--report", "report.json")
    rest = json.loads((run_cli.folder / "report.json").read_text())

    assert 0 < first["summary"]["bytes"] < sum(scene.size for scene in scenes) / 2
    assert first["summary"]["bytes"] == sum(one["bytes"] for one in first["products"])
    assert disk(half) < 0.7 * disk(before)
    assert middle["summary"]["bytes"] == sum(one["bytes"] for one in rest["products"])
    assert "nothing to list, 2 already here" in after.err
    assert (0, 2) == (last["summary"]["planned"], last["summary"]["skipped"])


async def test_a_dry_run_says_of_which_parts_the_size_is_not_known(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2, size=SIZE))

    ended = await run_cli(*at_url(site), "--bands", "SCL,B02", "--resolution", 20, "--dry-run")

    told = "--bands SCL,B02 --resolution 20 of each: size not known (--sizes asks the store)"
    assert (0, True) == (ended.code, ended.err.rstrip().endswith(told))


async def test_a_dry_run_of_whole_archives_says_what_trees_have_of_them(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene])
    await site.pull(members=["*_B02_10m.jp2"])
    moved = site.moved()

    ended = await run_cli(*at_url(site), "--dry-run", "--sizes")
    await run_cli(*at_url(site), "--segments", "1")  # a connection that is cut short may bring more than is taken

    saved = format_bytes(scene.size - (site.moved() - moved))
    assert f"{format_bytes(scene.size)}, of which {saved} are in folders .parts" in ended.err


@pytest.mark.parametrize("keep_part", ["--keep-part", "--no-keep-part"])
async def test_a_dry_run_counts_the_archives_that_come_whole(
    serve: Callable[..., Any], run_cli: CommandHere, keep_part: str
) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: FAULTS["no-range"] for scene in scenes})

    ended = await run_cli(*at_url(site), "--bands", "SCL", "--dry-run", "--sizes", "--else-whole", keep_part)

    total = format_bytes(sum(scene.size for scene in scenes))
    assert 0 == ended.code
    assert f"{total} of disk needed" in ended.err
    assert f"{total} of {total} (100.0 %)" in ended.err


async def test_a_dry_run_fails_where_the_store_has_no_ranges(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: FAULTS["no-range"] for scene in scenes})

    ended = await run_cli(*at_url(site), "--bands", "SCL", "--dry-run", "--sizes")

    assert 1 == ended.code
    assert "the store sends whole archives only" in ended.err
    assert "0 of 2 that match would be pulled, 2 cannot be, " in ended.err
    assert "size not known" not in ended.err


async def test_a_dry_run_fails_where_an_archive_cannot_be_had(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: FAULTS["missing"] for scene in scenes[:2]})

    ended = await run_cli(*at_url(site), "--bands", "SCL", "--dry-run", "--sizes", "--report", "report.json")

    report = json.loads((run_cli.folder / "report.json").read_text())
    assert 1 == ended.code
    assert "1 of 3 that match would be pulled, 2 cannot be, " in ended.err
    assert "unknown" not in ended.err
    assert (1, 2) == (report["summary"]["planned"], report["summary"]["failed"])


def disk(ended: Ended) -> float:
    """Kilobytes of disk that a dry run says are needed."""
    [line] = [line for line in ended.err.splitlines() if "of disk needed" in line]
    amount, unit = line.split()[:2]
    return float(amount) * {"kB": 1, "MB": 1000}[unit]


async def test_a_plan_carries_what_is_wanted_until_another_wish_is_given(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2, size=SIZE))
    asked = ("--base-url", site.server.url, "-o", site.folder)

    made = await run_cli("plan", "plan.json", "--collection", "S2_MSIL2A", "--bands", "SCL", "--sizes", *asked)
    same = await run_cli("--plan", "plan.json", "--dry-run", "--format", "jsonl", *asked)
    other = await run_cli("--plan", "plan.json", "--bands", "B02", "--dry-run", "--format", "jsonl", *asked)

    wanted = [one["wanted"] for one in json.loads((run_cli.folder / "plan.json").read_text())["products"]]
    assert wanted == [json.loads(line)["wanted"] for line in same.out.splitlines()]
    assert [None, None] == [json.loads(line)["wanted"] for line in other.out.splitlines()]
    assert "%)" in made.err


# ---------------------------------------------------------------------------------------------------- hostile names


HOSTILE = ("=1+1", "\x1b[31mred", "a\nb,c", "\u202eevil", "x" * 5000, "漢字" * 100)


@pytest.mark.parametrize("form", MEMBER_FORMATS)
def test_names_of_members_are_any_text(form: str) -> None:
    members = tuple(ArchiveMember(f"P.SAFE/{name}", 1, 1) for name in HOSTILE)
    out = io.StringIO()

    with MemberListing(form, out, several=True) as listing:
        listing.write(MemberList(Product("P\x1b[0m", None), 6, members, 6))
        listing.write(MemberList(Product("Q", None), 6, (ArchiveMember("=1+1", 1, 1),), 6))

    text = out.getvalue()
    assert "\x1b" not in text
    if form == "table":
        assert text.replace("\n", "").isprintable()
        assert len(HOSTILE) + 2 + 2 + 2 == len(text.splitlines())
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(HOSTILE) + 1 == len(rows)
        assert "'=1+1" == rows[-1]["name"]
    else:
        archives = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
        assert [f"P.SAFE/{name}" for name in HOSTILE] == [one["name"] for one in archives[0]["members"]]


def test_a_table_fits_its_terminal_and_keeps_the_end_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    names = ["P.SAFE/GRANULE/" + "long/" * 20 + "B02_10m.jp2", "P.SAFE/" + "漢字" * 40 + "/B03_10m.jp2"]

    with MemberListing("table", out, several=False) as listing:
        listing.write(MemberList(Product("P", None), 9, tuple(ArchiveMember(name, 4, 4, "B02") for name in names), 9))

    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in out.getvalue().splitlines()]
    assert max(map(text_width, lines)) <= 60
    assert all("…" in line and line.endswith("_10m.jp2") for line in lines[1:])


async def test_the_store_may_ask_for_a_sign_in(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    [scene] = level2_scenes(1, size=SIZE)
    site = await serve([scene], sign_in=SignIn("ada", "word", form="html"))

    refused = await ls(run_cli, site, scene.identifier)
    listed = await run_cli(
        "ls", "--base-url", site.server.url, scene.identifier, COLLGS_USERNAME="ada", COLLGS_PASSWORD="word"
    )

    assert (1, 0) == (refused.code, listed.code)
    assert "sign-in" in refused.err
    assert "MTD_MSIL2A.xml" in listed.out
