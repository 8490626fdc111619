"""What is said where a search cannot be asked, or finds nothing: each once, with what to do about it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.constellation import make_constellation
from tests.conftest import level2_scenes
from tests.support.commands import COLLECTION, at_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

UNKNOWN = "HTTP 400: Unknown parentId 's2_msil2b'; did you mean S2_MSIL2A? `collgs-async collections` lists all\n"


@pytest.fixture
async def luxembourg(serve: Callable[..., Any]) -> Any:
    return await serve(make_constellation(first=date(2022, 7, 1), last=date(2022, 7, 12), size=20_000))


# ------------------------------------------------------------------------------------------- an unknown collection


@pytest.mark.parametrize("command", ["search", "describe", "quicklooks", "plan new.json", "download", "--dry-run"])
async def test_an_unknown_collection_is_told_once_with_the_nearest_one(
    serve: Callable[..., Any], run_cli: CommandHere, command: str
) -> None:
    site = await serve(level2_scenes(2))

    ended = await run_cli(*command.split(), "--base-url", site.server.url, "--collection", "s2_msil2b")

    assert 1 == ended.code
    assert 1 == ended.err.count(UNKNOWN)
    assert 1 == ended.err.count("s2_msil2b")
    assert "again" not in ended.err


async def test_a_collection_with_no_name_near_is_told_where_names_are(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2))

    ended = await run_cli("search", "--base-url", site.server.url, "--collection", "LANDSAT")

    line = "the catalogue answered HTTP 400: Unknown parentId 'LANDSAT'; `collgs-async collections` lists all"
    assert (1, f"error: {line}\n") == (ended.code, ended.err)


# --------------------------------------------------------------------------------------------------- a wrong address


@pytest.mark.parametrize("command", ["search", "collections", "download"])
async def test_a_catalogue_that_is_not_there_names_the_address(
    serve: Callable[..., Any], run_cli: CommandHere, command: str
) -> None:
    site = await serve(level2_scenes(1))
    wrong = f"{site.server.origin}/catalogue"

    ended = await run_cli(command, *COLLECTION, "--base-url", wrong)

    assert 1 == ended.code
    assert 1 == ended.err.count(f"HTTP 404: Not Found; is {wrong} the right address (--base-url)?\n")
    assert "again" not in ended.err


# ------------------------------------------------------------------------------------------------------- zero hits


@pytest.mark.parametrize("command", ["search", "download", "--dry-run", "search --format json", "quicklooks"])
async def test_a_search_without_results_repeats_the_query(luxembourg: Any, run_cli: CommandHere, command: str) -> None:
    words = ("--cloud-cover", "20", "--set", "productType=X Y")
    variables = {"COLLGS_START": "2030-01-01", "COLLGS_TILE": "31UGR"}

    ended = await run_cli(*command.split(), *at_url(luxembourg), *words, **variables)

    flags = "--collection S2_MSIL2A --start 2030-01-01T00:00:00.000Z --cloud-cover 0,20 --tile 31UGR"
    assert 0 == ended.code
    assert 1 == ended.err.count(f"The query was {flags} --set 'productType=X Y'\n")
    assert "swapped" not in ended.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--bbox", "49.4,5.7,50.2,6.6"], "--bbox is W,S,E,N, longitude before latitude"),
        (["--bbox", "49.4,5.7,50.2,6.6", "--start", "2030-01-01"], "--bbox is W,S,E,N, longitude before latitude"),
        (
            ["--aoi", "POLYGON((49.4 5.7,49.4 6.6,50.2 6.6,50.2 5.7,49.4 5.7))"],
            "the area has longitude before latitude",
        ),
    ],
)
@pytest.mark.parametrize("command", ["search", "download"])
async def test_swapped_coordinates_are_asked_about(
    luxembourg: Any, run_cli: CommandHere, command: str, words: list[str], what: str
) -> None:
    ended = await run_cli(command, *at_url(luxembourg), *words)

    line = f"Are longitude and latitude swapped? There are products in 5.7,49.4,6.6,50.2; {what}.\n"
    assert 0 == ended.code
    assert ended.err.endswith(line)


@pytest.mark.parametrize(
    "words",
    [
        ["--bbox", "5.7,49.4,6.6,50.2", "--start", "2030-01-01"],
        ["--bbox", "170,5,172,6"],
        ["--bbox", "1,1,2,2"],
        ["--bbox", "49.4,5.7,50.2,6.6", "--ids", "ids.txt"],
    ],
    ids=" ".join,
)
async def test_coordinates_that_are_right_are_not_asked_about(
    luxembourg: Any, run_cli: CommandHere, words: list[str]
) -> None:
    (run_cli.folder / "ids.txt").write_text("S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718")

    ended = await run_cli("search", *at_url(luxembourg), *words)

    assert "swapped" not in ended.err


async def test_a_latitude_out_of_range_may_be_a_longitude(run_cli: CommandHere) -> None:
    ended = await run_cli("search", *COLLECTION, "--bbox=-34,151,-33,152")

    line = 'error: --bbox: expected latitudes from -90 to 90, found "-34,151,-33,152"; longitude comes first\n'
    assert (2, line) == (ended.code, ended.err)


async def test_a_plan_without_products_repeats_the_query(luxembourg: Any, run_cli: CommandHere) -> None:
    ended = await run_cli("plan", "plan.json", *at_url(luxembourg), "--start", "2030-01-01")

    assert 0 == ended.code
    assert "The query was --collection S2_MSIL2A --start 2030-01-01T00:00:00.000Z\n" in ended.err


async def test_where_everything_is_here_the_query_is_not_repeated(luxembourg: Any, run_cli: CommandHere) -> None:
    await run_cli(*at_url(luxembourg), "--count", "1")

    ended = await run_cli(*at_url(luxembourg), "--count", "1", "--dry-run")

    assert "The query was" not in ended.err
