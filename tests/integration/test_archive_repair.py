"""Repair instead of starting over: of an archive that is not right, only what is wrong is fetched again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import IntegrityError, Product
from collgs_async.demo.faults import FAULTS
from collgs_async.http.retry import RetryPolicy
from collgs_async.models.product import Status
from collgs_async.storage.part import PartFile
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.verify import DamagedMembersError
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_members import Damage
from collgs_async.transfer.job import DownloadJob
from collgs_async.transfer.range_request import OVERLAP
from collgs_async.transfer.repair import ArchiveRepair
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import is_archive, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from collgs_async.models.product import Outcome

SIZE = 6_000_000
STOPS_MIDWAY = (FAULTS["cut"], FAULTS["500"])
"""With no retries: a third arrives, and the product is given up for now."""


async def download(site: Any, **options: Any) -> Outcome:
    """Fetch the one product over one connection: a slow machine would get a second one, and some bytes twice."""
    async with site.client(**{"segments": 1, **options}) as client:
        async for product in client.catalogue.search():
            outcome: Outcome = await client.download(product)
            return outcome
    raise AssertionError("nothing was found")


async def one(serve: Callable[..., Any], *faults: str, size: int = SIZE) -> tuple[Any, Scene]:
    scene = level2_scenes(1, size=size)[0]
    return await serve([scene], faults={scene.identifier: tuple(FAULTS[name] for name in faults)}), scene


def extents(site: Any, scene: Scene) -> list[tuple[int, int]]:
    """First byte and one past the last of six members: the manifest, the metadata and the four largest images."""
    path: Path = site.folder.with_name("original.zip")
    path.write_bytes(site.original(scene))
    directory = read_members(path)
    found = [(member.header, end) for member, end in directory.extents()]
    return found[:2] + sorted(sorted(found, key=lambda extent: extent[1] - extent[0])[-4:])


def part_of(site: Any, scene: Scene) -> Path:
    path: Path = site.archive(scene).with_suffix(".zip.part")
    return path


async def interrupted(serve: Callable[..., Any]) -> tuple[Any, Scene]:
    """A run that stopped midway: a part and its sidecar are here."""
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    await download(site, retries=0)
    site.server.forget()
    return site, scene


def rewrite_sidecar(part: Path, **changes: object) -> None:
    sidecar = part.with_suffix(".part.json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | changes))


def flipped(content: bytes, *positions: int) -> bytes:
    spoiled = bytearray(content)
    for position in positions:
        spoiled[position] ^= 1
    return bytes(spoiled)


def zeroed(content: bytes, first: int, end: int) -> bytes:
    return content[:first] + bytes(end - first) + content[end:]


def ranges(site: Any) -> list[str | None]:
    return [hit.range for hit in site.archive_hits()]


def as_range(span: tuple[int, int]) -> str:
    return f"bytes={span[0]}-{span[1] - 1}"


def last_byte(wanted: str | None) -> float:
    """The last byte of a range that a request asked for; infinity for all that follows."""
    return float((wanted or "").rpartition("-")[2] or "inf")


def assert_right(site: Any, scene: Scene, outcome: Outcome) -> None:
    assert (Status.DOWNLOADED, None) == (outcome.status, outcome.error)
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert [] == site.litter()


async def test_only_the_range_of_the_bad_member_is_fetched_again(serve: Callable[..., Any]) -> None:
    site, scene = await one(serve, "corrupt")
    largest = max(extents(site, scene), key=lambda span: span[1] - span[0])

    outcome = await download(site)

    assert [None, as_range(largest)] == ranges(site)
    assert scene.size + largest[1] - largest[0] == outcome.bytes == site.moved()
    assert_right(site, scene, outcome)


async def test_bad_member_that_is_cut_while_it_comes_again_is_resumed(serve: Callable[..., Any]) -> None:
    site, scene = await one(serve, "corrupt", "cut")
    first, end = max(extents(site, scene), key=lambda span: span[1] - span[0])

    outcome = await download(site)

    assert scene.size + end - first == outcome.bytes
    assert 3 == outcome.attempts
    assert_right(site, scene, outcome)


async def test_same_bytes_twice_are_bad_on_the_server_and_cost_no_more_than_the_member(
    serve: Callable[..., Any],
) -> None:
    site, scene = await one(serve, "rotten")
    first, end = max(extents(site, scene), key=lambda span: span[1] - span[0])

    outcome = await download(site)

    assert Status.FAILED is outcome.status
    assert isinstance(outcome.error, IntegrityError)
    assert "1 of 123 members damaged" in str(outcome.error)
    assert "the archive is bad on the server" in str(outcome.error)
    assert outcome.bytes <= scene.size + end - first
    assert not site.archive(scene).exists()
    assert [] == site.litter()


async def test_nothing_is_repaired_without_verification(serve: Callable[..., Any]) -> None:
    site, scene = await one(serve, "corrupt")

    outcome = await download(site, verify="size")

    assert (Status.DOWNLOADED, scene.size, 1) == (outcome.status, outcome.bytes, outcome.attempts)
    assert not is_archive(site.archive(scene))


@pytest.mark.parametrize("which", [(0,), (1,), (2,), (5,), (2, 4), (0, 1, 5), (0, 1, 2, 3, 4, 5)], ids=str)
async def test_each_damaged_member_is_fetched_again_and_no_other(
    serve: Callable[..., Any], which: Sequence[int]
) -> None:
    """The part was complete, and rotted on the disk before it was verified."""
    site, scene = await interrupted(serve)
    damaged = [extents(site, scene)[number] for number in which]
    part = part_of(site, scene)
    part.write_bytes(flipped(site.original(scene), *(end - 1 for _, end in damaged)))
    rewrite_sidecar(part, date="Sat, 01 Jan 2022 00:00:00 GMT")

    outcome = await download(site)

    assert sum(end - first for first, end in damaged) == outcome.bytes
    assert all(hit.headers["if-range"].startswith('"') for hit in site.archive_hits())
    assert_right(site, scene, outcome)


@pytest.mark.parametrize("sidecar", ["right", "with all ranges", "missing", "garbage"])
async def test_hole_of_zeros_after_a_power_cut_is_filled_alone(serve: Callable[..., Any], sidecar: str) -> None:
    """The sidecar reached the disk, some of the bytes that it speaks of did not."""
    site, scene = await interrupted(serve)
    first, end = extents(site, scene)[3]
    part = part_of(site, scene)
    part.write_bytes(zeroed(site.original(scene), first + 50_000, first + 150_000))
    lay_sidecar(part, sidecar, scene.size)

    outcome = await download(site)

    proven = sidecar in {"right", "with all ranges"}
    assert outcome.bytes <= end - first + (0 if proven else 2 * OVERLAP)
    assert_right(site, scene, outcome)


@pytest.mark.parametrize("sidecar", ["right", "missing"])
async def test_hole_across_two_members_is_filled_and_the_rest_is_resumed(
    serve: Callable[..., Any], sidecar: str
) -> None:
    site, scene = await interrupted(serve)
    (first, border), (_, end) = extents(site, scene)[2:4]
    part = part_of(site, scene)
    held = scene.size * 3 // 4
    part.write_bytes(zeroed(site.original(scene)[:held], border - 70_000, border + 70_000))
    lay_sidecar(part, sidecar, scene.size)

    outcome = await download(site)

    assert outcome.bytes <= scene.size - held + end - first + 3 * OVERLAP
    assert_right(site, scene, outcome)


def lay_sidecar(part: Path, kind: str, size: int) -> None:
    match kind:
        case "with all ranges":
            rewrite_sidecar(part, ranges=[[0, size]])
        case "missing":
            part.with_suffix(".part.json").unlink()
        case "garbage":
            part.with_suffix(".part.json").write_bytes(b"\x00{]")


async def test_ranges_that_the_file_is_too_short_for_are_fetched(serve: Callable[..., Any]) -> None:
    """The sidecar says that all is here, the file ends before."""
    site, scene = await interrupted(serve)
    part = part_of(site, scene)
    part.write_bytes(site.original(scene)[:-700_000])
    rewrite_sidecar(part, ranges=[[0, scene.size]])

    outcome = await download(site)

    assert 700_000 == outcome.bytes
    assert_right(site, scene, outcome)


async def test_sidecar_that_denies_what_is_here_costs_only_what_it_denies(serve: Callable[..., Any]) -> None:
    site, scene = await interrupted(serve)
    part = part_of(site, scene)
    part.write_bytes(site.original(scene))
    rewrite_sidecar(part, ranges=[[0, 1_000_000], [1_500_000, scene.size]])

    outcome = await download(site)

    assert (500_000, ["bytes=1000000-1499999"]) == (outcome.bytes, ranges(site))
    assert_right(site, scene, outcome)


async def test_archive_without_an_end_record_is_fetched_once_more(serve: Callable[..., Any]) -> None:
    """Without a directory, the damaged bytes are unknown."""
    site, scene = await interrupted(serve)
    part = part_of(site, scene)
    part.write_bytes(zeroed(site.original(scene), scene.size - 3_000, scene.size))

    outcome = await download(site)

    assert scene.size == outcome.bytes
    assert_right(site, scene, outcome)


@pytest.mark.parametrize("helpers", [1, 4])
async def test_first_member_is_fetched_again_without_what_follows_also_by_several(
    serve: Callable[..., Any], helpers: int
) -> None:
    """The range begins with the archive's first byte, and must not be taken for all of it."""
    tuning = TransferTuning(block_bytes=2**16, min_piece_bytes=2**18, min_split_seconds=0.1)
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY}, rate=2_000_000)
    await download(site, retries=0, segments=1)
    site.server.forget()
    missing = extents(site, scene)[3][0]
    part = part_of(site, scene)
    part.write_bytes(site.original(scene))
    rewrite_sidecar(part, ranges=[[missing, scene.size]])

    report = await site.pull(workers=helpers, segments=helpers, tuning=tuning)

    assert (1, 0) == (report.downloaded, report.failed)
    assert [] == [wanted for wanted in ranges(site) if last_byte(wanted) >= missing]
    assert report.bytes <= missing + (0 if helpers == 1 else 2**18)
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert [] == site.litter()


A, B = Damage("A", 10, 20, "its CRC-32 is wrong"), Damage("B", 30, 40, "its CRC-32 is wrong")
NO_END = IntegrityError("no end record")


def damaged(*members: Damage) -> DamagedMembersError:
    return DamagedMembersError(members, 5)


class Bench:
    """A part of a hundred bytes, and the attempts to mend it."""

    def __init__(self, folder: Path) -> None:
        self.job = DownloadJob(Product("P", "http://h/a"), PartFile(folder / "a.zip"), RetryPolicy(3), segments=4)
        self.repair = ArchiveRepair(self.job)
        self.come(bytes(100))

    def come(self, content: bytes) -> None:
        """Let the whole archive arrive with these bytes."""
        self.job.part.path.write_bytes(content)
        self.job.part.held.add(0, len(content))
        self.job.part.remote = RemoteVersion("http://h/a", len(content), '"tag"')
        self.job.size = len(content)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.job.part.path.parent.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_first_damage_is_lost_and_all_else_is_kept(bench: Bench) -> None:
    assert "fetching those parts of it again" == await bench.repair.prepare_retry(damaged(A, B))

    assert [(0, 10), (20, 30), (40, 100)] == list(bench.job.part.held)
    assert RemoteVersion("http://h/a", 100, '"tag"') == bench.job.part.remote
    assert ["a.zip.part", "a.zip.part.json"] == bench.files()


async def test_one_damage_is_named_as_one(bench: Bench) -> None:
    assert "fetching that part of it again" == await bench.repair.prepare_retry(damaged(A))


@pytest.mark.parametrize("still", [(A, B), (B,)], ids=["both", "one of them"])
async def test_damage_that_comes_with_the_same_bytes_is_the_servers(bench: Bench, still: tuple[Damage, ...]) -> None:
    await bench.repair.prepare_retry(damaged(A, B))
    bench.come(bytes(100))

    with pytest.raises(IntegrityError, match=r"damaged: .* it came with the same bytes twice, so .* bad on the server"):
        await bench.repair.prepare_retry(damaged(*still))
    assert [] == bench.files()


async def test_damage_that_comes_with_other_bytes_costs_the_whole_once(bench: Bench) -> None:
    await bench.repair.prepare_retry(damaged(A))
    bench.come(b"\1" * 100)

    assert "fetching it once more" == await bench.repair.prepare_retry(damaged(A))
    assert ([], None, None) == (bench.files(), bench.job.part.remote, bench.job.size)
    assert [] == list(bench.job.part.held)


async def test_damage_elsewhere_after_mending_costs_the_whole_once(bench: Bench) -> None:
    await bench.repair.prepare_retry(damaged(A))
    bench.come(bytes(100))

    assert "fetching it once more" == await bench.repair.prepare_retry(damaged(B))


async def test_damage_of_which_one_came_the_same_and_one_did_not_is_not_settled_yet(bench: Bench) -> None:
    await bench.repair.prepare_retry(damaged(A, B))
    bench.come(bytes(30) + b"\1" * 70)

    assert "fetching it once more" == await bench.repair.prepare_retry(damaged(A, B))


async def test_same_damage_after_the_whole_came_again_is_the_servers(bench: Bench) -> None:
    await bench.repair.prepare_retry(damaged(A))
    bench.come(b"\1" * 100)
    await bench.repair.prepare_retry(damaged(A))
    bench.come(b"\1" * 100)

    with pytest.raises(IntegrityError, match="same bytes twice"):
        await bench.repair.prepare_retry(damaged(A))
    assert [] == bench.files()


async def test_damage_that_never_comes_the_same_ends_as_well(bench: Bench) -> None:
    for content in (bytes(100), b"\1" * 100):
        bench.come(content)
        await bench.repair.prepare_retry(damaged(A))
    bench.come(b"\2" * 100)

    with pytest.raises(IntegrityError, match=r"damaged: .* it came like this twice"):
        await bench.repair.prepare_retry(damaged(A))
    assert [] == bench.files()


async def test_damage_at_an_unknown_position_costs_the_whole_archive_once(bench: Bench) -> None:
    assert "fetching it once more" == await bench.repair.prepare_retry(NO_END)
    bench.come(bytes(100))

    with pytest.raises(IntegrityError, match="no end record; it came like this twice, so the archive is bad on"):
        await bench.repair.prepare_retry(NO_END)
    assert [] == bench.files()


async def test_damaged_member_is_still_mended_after_the_whole_came_again(bench: Bench) -> None:
    await bench.repair.prepare_retry(NO_END)
    bench.come(bytes(100))

    assert "fetching that part of it again" == await bench.repair.prepare_retry(damaged(A))
