"""Chosen members of an archive, over a line and from a store that misbehave in every way."""

from __future__ import annotations

import io
import logging
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

from collgs_async import AuthenticationError, IntegrityError, NotAvailableError
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.login import SignIn
from collgs_async.models.product import Status
from tests.conftest import fault, level2_scenes
from tests.support.faults import ARCHIVE_FAULTS, served_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async import Report
    from collgs_async.demo.scenes import Scene
    from collgs_async.models.product import Outcome

SIZE = 6_000_000
TAIL = 64 * 1024
BLUE, RED, TRUE_COLOUR = "*_B02_10m.jp2", "*_B04_10m.jp2", "*_TCI_10m.jp2"

FINAL = {"missing", "forbidden"}


ONE_CONNECTION: Final = {"segments": 1}
"""For tests that count bytes: of a connection that is cut short, more may have come than is taken."""


async def fetch(site: Any, **options: Any) -> Outcome:
    """Download the first product of the catalogue."""
    async with site.client(**options) as client:
        outcome: Outcome = await client.download(await anext(aiter(client.search())))
        return outcome


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist() if not info.is_dir()}


def tree_of(folder: Path) -> dict[str, bytes]:
    """The files of a tree, by the names of their members."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files.pop("parts.json", None)
    return files


def tree_folder(site: Any, scene: Scene) -> Path:
    folder: Path = site.folder
    return folder / f"{scene.identifier}.parts"


def packed_length(archive: bytes, *patterns: str) -> int:
    from fnmatch import fnmatch

    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        chosen = [info for info in opened.infolist() if any(fnmatch(info.filename, one) for one in patterns)]
        return sum(info.compress_size for info in chosen)


async def test_only_the_wanted_members_are_fetched_and_lie_in_a_folder_of_their_own(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])

    outcome = await fetch(site, members=[BLUE], **ONE_CONNECTION)

    folder = tree_folder(site, scene)
    expected = {name: data for name, data in members_of(site.original(scene)).items() if "_B02_10m" in name}
    assert (Status.DOWNLOADED, folder, len(expected)) == (outcome.status, outcome.path, outcome.members)
    assert expected == tree_of(folder)
    assert [f"{folder.name}"] == [path.name for path in site.folder.iterdir()]
    assert ["bytes=-65536"] == [hit.headers["range"] for hit in site.archive_hits()][:1]
    assert outcome.bytes <= TAIL + packed_length(site.original(scene), BLUE) + 1000


async def test_a_second_run_asks_nothing_and_two_more_bands_fetch_only_these(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await fetch(site, members=[BLUE])
    site.server.forget()

    again = await fetch(site, members=[BLUE])
    asked = len(site.archive_hits())
    more = await fetch(site, members=[BLUE, RED], **ONE_CONNECTION)

    assert (Status.SKIPPED, "exists", 0) == (again.status, again.reason, asked)
    assert tree_folder(site, scene) == again.path
    expected = {n: d for n, d in members_of(site.original(scene)).items() if "_B02_10m" in n or "_B04_10m" in n}
    assert expected == tree_of(tree_folder(site, scene))
    assert more.bytes <= packed_length(site.original(scene), RED) + 1000  # the directory is in the record


async def test_without_a_wish_the_archive_is_completed_from_the_tree(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    first = await fetch(site, members=[BLUE], **ONE_CONNECTION)

    outcome = await fetch(site, **ONE_CONNECTION)

    original = site.original(scene)
    assert (Status.DOWNLOADED, site.archive(scene)) == (outcome.status, outcome.path)
    assert original == site.archive(scene).read_bytes()
    assert first.bytes + outcome.bytes <= len(original) + TAIL


async def test_an_archive_that_is_here_answers_any_wish_without_a_byte(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await fetch(site)
    site.server.forget()

    outcome = await fetch(site, members=[BLUE])

    assert (Status.SKIPPED, site.archive(scene)) == (outcome.status, outcome.path)
    assert [] == site.archive_hits()
    assert not tree_folder(site, scene).exists()


@pytest.mark.parametrize("position", ["at the directory", "at a member"])
@pytest.mark.parametrize("name", ARCHIVE_FAULTS)
async def test_each_fault_ends_in_right_members_or_in_a_clear_failure(
    serve: Callable[..., Any], name: str, position: str
) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    late = position == "at a member"
    harmless = replace(FAULTS["coding"], times=1)
    site = await serve([scene], faults={scene.identifier: (harmless, fault(name)) if late else fault(name)})

    # One bit of the largest member is wrong; what is far from the beginning is not taken from a whole answer.
    wish = {"rotten": ["*_B0*"], "no-range": ["*_B08_10m.jp2"]}.get(name, [BLUE])
    if name == "login":
        with pytest.raises(AuthenticationError, match="COLLGS_USERNAME"):
            await fetch(site, members=wish)
        return
    outcome = await fetch(site, members=wish, timeout=2 if name == "stall" else 30, outage=0)

    original = site.original(scene, *(served_version(name) if outcome.status is Status.DOWNLOADED else (0, 0)))
    expected = {n: d for n, d in members_of(original).items() if "_B02_10m" in n}
    if name == "rotten":
        assert isinstance(outcome.error, IntegrityError)
        assert "it came like this twice, so the archive is bad on the server" in str(outcome.error)
        expected = {n: d for n, d in members_of(original).items() if "_B0" in n}
        assert tree_of(tree_folder(site, scene)).items() < expected.items()
        assert len(expected) - 1 == len(tree_of(tree_folder(site, scene)))  # the others have their names
    elif name in FINAL or name == "no-range" or (name == "bad-chunk" and not late):
        assert Status.FAILED == outcome.status
        assert tree_of(tree_folder(site, scene)).items() <= expected.items()
    else:
        assert (Status.DOWNLOADED, None) == (outcome.status, outcome.error)
        assert expected == tree_of(tree_folder(site, scene))


async def test_a_store_without_ranges_is_noticed_at_its_first_answer(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: replace(FAULTS["no-range"]) for scene in scenes})

    report = await site.pull(members=[BLUE], workers=1, segments=1)

    assert (0, 3) == (report.downloaded, report.failed)
    assert all(isinstance(outcome.error, NotAvailableError) for outcome in report.failures)
    assert {"the store sends whole archives only; --else-whole takes them"} == {str(o.error) for o in report.failures}
    assert 1 == len(site.archive_hits())
    assert [] == list(site.folder.iterdir())


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("keep_part", [False, True])
async def test_what_of_the_wanted_members_comes_again_with_the_rest(
    serve: Callable[..., Any], deflated: bool, keep_part: bool
) -> None:
    scene = replace(level2_scenes(1, size=SIZE)[0], deflated=deflated)
    site = await serve([scene])
    await fetch(site, members=[BLUE], keep_part=keep_part)
    original, blue = site.original(scene), packed_length(site.original(scene), BLUE)
    assert keep_part == site.archive(scene).with_name(f"{site.archive(scene).name}.part").exists()
    site.server.forget()

    outcome = await fetch(site, **ONE_CONNECTION)

    assert (Status.DOWNLOADED, original) == (outcome.status, site.archive(scene).read_bytes())
    comes_again = deflated and not keep_part
    assert (outcome.bytes > len(original) - blue) == comes_again


async def test_else_whole_takes_the_archive_where_a_store_has_no_ranges(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: replace(FAULTS["no-range"]) for scene in scenes})

    report = await site.pull(members=[BLUE], else_whole=True)

    assert (2, 0) == (report.downloaded, report.failed)
    assert [site.original(scene) for scene in scenes] == [site.archive(scene).read_bytes() for scene in scenes]


async def test_a_replaced_archive_sets_the_old_tree_aside(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await fetch(site, members=[BLUE])
    before = tree_of(tree_folder(site, scene))
    site.server.replace(scene.identifier)

    await fetch(site, members=[BLUE, RED])

    expected = {n: d for n, d in members_of(site.original(scene, 1)).items() if "_B02_10m" in n or "_B04_10m" in n}
    assert expected == tree_of(tree_folder(site, scene))
    assert before == tree_of(site.folder / ".collgs" / "old" / "replaced" / f"{scene.identifier}.parts")


async def test_a_file_that_was_changed_by_hand_is_fetched_again(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await fetch(site, members=[BLUE, RED])
    folder = tree_folder(site, scene)
    right = tree_of(folder)
    spoilt = folder / next(name for name in right if "_B02_10m" in name)
    spoilt.write_bytes(bytes(reversed(spoilt.read_bytes())))

    outcome = await fetch(site, members=[BLUE, RED], **ONE_CONNECTION)

    assert Status.DOWNLOADED == outcome.status
    assert right == tree_of(folder)
    assert outcome.bytes <= packed_length(site.original(scene), BLUE) + 1000


@pytest.mark.parametrize("form", ["html", "script"])
async def test_a_session_that_ends_in_the_middle_costs_no_byte_that_is_here(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, form: Literal["html", "script"]
) -> None:
    monkeypatch.setenv("COLLGS_USERNAME", "ada")
    monkeypatch.setenv("COLLGS_PASSWORD", "secret")
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, sign_in=SignIn("ada", "secret", form=form, session_requests=3))

    report = await site.pull(members=[BLUE, TRUE_COLOUR], workers=1, **ONE_CONNECTION)

    assert 3 == report.downloaded
    for scene in scenes:
        expected = {n: d for n, d in members_of(site.original(scene)).items() if "_B02_10m" in n or "_TCI_10m" in n}
        assert expected == tree_of(tree_folder(site, scene))
    tails = [hit for hit in site.archive_hits() if hit.status == 206 and hit.range == f"bytes=-{TAIL}"]
    assert len(scenes) == len(tails)
    assert report.bytes <= sum(
        packed_length(site.original(scene), BLUE, TRUE_COLOUR) + TAIL + 20_000 for scene in scenes
    )


async def test_thirty_products_of_a_store_that_is_busy_are_all_right(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(30, size=200_000)
    faults = {
        scene.identifier: replace(FAULTS[name]) for scene, name in zip(scenes, ["429", "503", "cut"] * 10, strict=True)
    }
    site = await serve(scenes, faults=faults)

    report = await site.pull(members=[BLUE], workers=4)

    assert (30, 0) == (report.downloaded, report.failed)
    for scene in scenes:
        expected = {n: d for n, d in members_of(site.original(scene)).items() if "_B02_10m" in n}
        assert expected == tree_of(tree_folder(site, scene))
    assert all(path.suffix == ".parts" for path in site.folder.iterdir())


async def test_members_get_their_names_while_others_are_still_to_come(serve: Callable[..., Any]) -> None:
    """The last member never comes: what was here before has its name although the product fails."""
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve(
        [scene], faults={scene.identifier: (replace(FAULTS["coding"], times=2), replace(FAULTS["500"], times=99))}
    )
    tuning = replace(site.tuning, extract_bytes=1, extract_seconds=0.01)

    async with site.client(members=[BLUE, "*_B08_10m.jp2"], segments=1, outage=0, tuning=tuning) as client:
        outcome = await client.download(await anext(aiter(client.search())))

    expected = {name: data for name, data in members_of(site.original(scene)).items() if "_B02_10m" in name}
    assert (Status.FAILED, expected) == (outcome.status, tree_of(tree_folder(site, scene)))


async def test_an_archive_whose_ranges_are_ignored_is_taken_whole_beside_others_that_have_them(
    serve: Callable[..., Any],
) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scenes[1].identifier: replace(FAULTS["no-range"])})

    refused = await one_before_all(site, members=["*_B08_10m.jp2"])
    taken = await one_before_all(site, members=["*_B08_10m.jp2"], else_whole=True)

    assert (1, 1, 1) == (refused.downloaded, refused.skipped, refused.failed)
    assert "--else-whole takes them" in str(refused.failures[0].error)
    assert (1, 2, 0) == (taken.downloaded, taken.skipped, taken.failed)
    assert site.original(scenes[1]) == site.archive(scenes[1]).read_bytes()


async def one_before_all(site: Any, **options: Any) -> Report:
    """Download the first product, which shows that the store has ranges, then all."""
    async with site.client(**options) as client:
        products = await client.search().collect()
        await client.download(products[0])
        report: Report = await client.download_all(products)
        return report


async def test_the_files_of_a_replaced_archive_are_named(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await fetch(site, members=[BLUE])
    site.server.replace(scene.identifier)

    with caplog.at_level(logging.WARNING, "collgs_async"):
        await fetch(site, members=[BLUE, RED])

    aside = site.folder / ".collgs" / "old" / "replaced" / f"{scene.identifier}.parts"
    assert f"{scene.identifier}: its archive was replaced in the store; its earlier files are in {aside}" in caplog.text


async def test_another_validator_has_the_directory_compared_once_more(serve: Callable[..., Any]) -> None:
    """Each node of the store has its own ETag: one request more, and everything is right."""
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: fault("etag-per-node")})

    outcome = await fetch(site, members=[BLUE])

    expected = {name: data for name, data in members_of(site.original(scene)).items() if "_B02_10m" in name}
    assert (Status.DOWNLOADED, expected) == (outcome.status, tree_of(tree_folder(site, scene)))
    starts = [hit.headers.get("range") for hit in site.archive_hits()]
    assert len(starts) <= 6


async def test_a_small_range_is_one_request_however_many_workers_are_idle(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])

    outcome = await fetch(site, members=[BLUE], workers=8, segments=8)

    assert (Status.DOWNLOADED, 2) == (outcome.status, outcome.attempts)
