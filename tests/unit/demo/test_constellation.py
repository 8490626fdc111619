"""The constellation: scenes as the satellites would have made them, in the catalogue's order."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.constellation import FIJI, LUXEMBOURG, make_constellation
from collgs_async.demo.scenes import COLLECTIONS
from tests.support.demo import S1_NAME, S2_NAME, bench, listing, names

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene


@cache
def year() -> list[Scene]:
    return make_constellation(first=date(2021, 1, 1), last=date(2021, 12, 31))


def optical() -> list[Scene]:
    return [scene for scene in year() if scene.cloud_cover is not None]


def level2a() -> list[Scene]:
    return [scene for scene in optical() if scene.collection == "S2_MSIL2A"]


def radar() -> list[Scene]:
    return [scene for scene in year() if scene.cloud_cover is None]


DIGESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "b9576d928e1e66ce"),
    ({"tiles": FIJI}, "4f89e2cd951ffbb5"),
    ({"count": 2_000, "seed": 3, "size": 30_000}, "0e9df303bdd99447"),
    ({"first": date(2015, 1, 1), "last": date(2016, 12, 31)}, "c9275c6769a81442"),
    ({"tiles": FIJI, "first": date(2024, 7, 1), "last": date(2026, 6, 30), "crossing": "split"}, "d8e2b9a703a04456"),
    ({"tiles": FIJI, "count": 300, "crossing": "beyond", "seed": 1}, "019e8124a2aeb4b3"),
    ({"tiles": FIJI, "count": 300, "crossing": "jumping", "seed": 2}, "962301acd2e18d12"),
    ({"first": date(2019, 12, 31), "last": date(2020, 3, 1), "crossing": "jumping", "seed": 5}, "056af1a12dec71a6"),
    ({"first": date(2021, 7, 1), "tiles": ("31UGR",)}, "a68c2c44a07f1262"),
]
"""Arguments, and the digest of all that the scenes say: names, times, sizes, footprints, orbits."""


def digest(scenes: list[Scene]) -> str:
    """Return a digest of all that the catalogue says of scenes."""
    said = sha256()
    for scene in scenes:
        said.update(f"{scene.location} {scene.start} {scene.end} {scene.made_at} {scene.footprint}".encode())
        said.update(f"{scene.cloud_cover} {scene.orbit_number} {scene.orbit_direction} {scene.size}".encode())
    return said.hexdigest()[:16]


def tile(scene: Scene) -> str:
    return scene.identifier.split("_")[5]


def baseline(scene: Scene) -> str:
    return scene.identifier.split("_")[3]


def longitudes(scene: Scene) -> list[float]:
    drawn = scene.footprint["coordinates"]
    rings = drawn if scene.footprint["type"] == "Polygon" else [ring for polygon in drawn for ring in polygon]
    return [longitude for ring in rings for longitude, _ in ring]


def width(scene: Scene) -> float:
    return max(longitudes(scene)) - min(longitudes(scene))


class TestScenes:
    def test_of_a_year_are_some_thousands_of_all_collections(self) -> None:
        assert 4_000 < len(year()) < 6_000
        assert set(COLLECTIONS) == {scene.collection for scene in year()}
        assert len(year()) == len({scene.identifier for scene in year()})
        assert {2021} == {scene.start.year for scene in year()}

    def test_are_in_the_order_of_the_catalogue(self) -> None:
        assert year() == sorted(year(), key=lambda scene: (-scene.start.timestamp(), scene.identifier))

    def test_are_the_same_for_the_same_seed_and_the_newest_come_first(self) -> None:
        span: Any = {"first": date(2021, 1, 1), "last": date(2021, 12, 31)}

        assert year()[:700] == make_constellation(700, **span)
        assert [scene.footprint for scene in year()[:100]] == [s.footprint for s in make_constellation(100, **span)]
        assert year()[:700] != make_constellation(700, **span, seed=1)

    @pytest.mark.parametrize(
        ("settings", "expected"), DIGESTS, ids=lambda value: "" if isinstance(value, str) else None
    )
    def test_do_not_change_from_version_to_version(self, settings: dict[str, Any], expected: str) -> None:
        assert expected == digest(make_constellation(**settings))

    def test_of_other_places_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^tiles: expected some of 31UFQ, .*, 60KYG, found 33UUU$"):
            make_constellation(tiles=["33UUU", *FIJI])

    def test_have_names_that_fit_the_patterns_and_agree_with_what_they_say(self) -> None:
        for scene in year():
            pattern = S1_NAME if scene.collection == "S1_SAR_GRD" else S2_NAME
            assert pattern.fullmatch(scene.identifier), scene.identifier
            assert f"{scene.start:_%Y%m%dT%H%M%S_}" in scene.identifier
        for scene in optical():
            assert f"_R{scene.orbit_number:03d}_T" in scene.identifier
            assert f"{scene.made_at:_%Y%m%dT%H%M%S}" == scene.identifier[-16:]
            assert scene.made_at > scene.start

    def test_have_archives_as_large_as_their_share_of_a_tile(self) -> None:
        scenes = make_constellation(600, size=1_000_000)
        whole = [scene.size for scene in scenes if "_R008_T31UGR" in scene.identifier]
        part = [scene.size for scene in scenes if "_R051_T32UKV" in scene.identifier]

        assert 700_000 < max(whole) <= 1_300_000
        assert max(part) < 250_000


class TestOptical:
    def test_orbits_that_see_a_tile_are_the_real_ones(self) -> None:
        seen = defaultdict(set)
        for scene in optical():
            seen[tile(scene)[1:]].add(scene.orbit_number)

        assert set(LUXEMBOURG) == set(seen)
        assert {8, 51} == seen["31UFR"] == seen["31UFQ"]
        assert {8, 108} == seen["31UGR"] == seen["32ULA"] == seen["32ULV"] == seen["31UGQ"]
        assert {"DESCENDING"} == {scene.orbit_direction for scene in optical()}

    @pytest.mark.parametrize(
        ("name", "west", "east"),
        [
            # From the archive, July 2023: the western rim of orbit 108, the eastern one of orbit 8.
            ("_R108_T31UGQ", 5.880, 7.285),
            ("_R108_T32ULV", 6.234, 7.775),
            ("_R008_T32ULV", 6.231, 7.763),
            ("_R008_T31UGR", 5.764, 7.366),
        ],
    )
    def test_swaths_end_where_they_really_end(self, name: str, west: float, east: float) -> None:
        largest = max((scene for scene in level2a() if name in scene.identifier), key=width)

        assert west == pytest.approx(min(longitudes(largest)), abs=0.02)
        assert east == pytest.approx(max(longitudes(largest)), abs=0.02)

    def test_each_orbit_comes_back_after_five_days_with_the_other_satellite(self) -> None:
        for orbit in (8, 51, 108):
            passes = sorted({(scene.start.date(), scene.serial) for scene in level2a() if scene.orbit_number == orbit})

            assert 72 < len(passes) < 75
            assert {timedelta(days=5)} == {later - sooner for (sooner, _), (later, _) in pairwise(passes)}
            assert all(one != other for (_, one), (_, other) in pairwise(passes))

    def test_passes_are_on_the_days_and_near_the_hours_on_which_they_were(self) -> None:
        real = {(2021, 7, 21, 8, "A"), (2020, 7, 26, 8, "A"), (2023, 1, 17, 8, "B"), (2023, 4, 5, 51, "A")}
        real |= {(2017, 10, 15, 8, "B"), (2017, 10, 17, 108, "A")}
        found = {
            (scene.start.year, scene.start.month, scene.start.day, scene.orbit_number, scene.serial)
            for scene in make_constellation()
            if scene.platform == "Sentinel-2"
        }

        assert real <= found
        assert (2023, 1, 17, 8, "A") not in found
        minutes = [scene.start.hour * 60 + scene.start.minute for scene in optical()]
        assert 10 * 60 + 25 <= min(minutes)
        assert max(minutes) <= 10 * 60 + 55

    def test_a_third_satellite_takes_the_place_of_the_first(self) -> None:
        scenes = make_constellation(first=date(2025, 1, 1), last=date(2025, 3, 31))
        serials = {(scene.serial, scene.start < datetime(2025, 1, 21, tzinfo=UTC)) for scene in scenes}

        assert {("A", True), ("B", True), ("B", False), ("C", False)} == {
            (serial, early) for serial, early in serials if serial != "A" or early
        }

    def test_reprocessings_are_of_one_acquisition_and_have_other_names(self) -> None:
        versions = defaultdict(set)
        for scene in level2a():
            versions[scene.start, tile(scene)].add(baseline(scene))

        assert {"N0214", "N0300", "N0301", "N0500", "N0511"} == {baseline(scene) for scene in level2a()}
        assert {1, 2, 3} == {len(found) for found in versions.values()}
        assert all(scene.made_at.year > 2021 for scene in level2a() if baseline(scene) >= "N0500")

    def test_some_passes_came_down_in_two_pieces_of_equal_baseline(self) -> None:
        pieces = Counter((scene.start, tile(scene), baseline(scene)) for scene in level2a())

        assert {1, 2} == set(pieces.values())
        assert 0.01 < list(pieces.values()).count(2) / len(pieces) < 0.2

    def test_clouds_are_more_in_winter_and_alike_over_one_pass(self) -> None:
        def mean(months: set[int]) -> float:
            covers = [scene.cloud_cover or 0 for scene in level2a() if scene.start.month in months]
            return sum(covers) / len(covers)

        assert mean({6, 7, 8}) + 10 < mean({12, 1, 2})
        assert {0, 100} <= {scene.cloud_cover for scene in level2a()}
        assert 5 < sum(scene.cloud_cover in range(20, 60) for scene in level2a()) / len(level2a()) * 100 < 40


class TestRadar:
    def test_comes_from_both_sides_with_the_real_orbits(self) -> None:
        directions = defaultdict(set)
        for scene in radar():
            directions[scene.orbit_direction].add(scene.orbit_number)

        assert {37, 139} <= directions["DESCENDING"]
        assert {15, 88, 161} == directions["ASCENDING"]

    def test_numbers_of_orbits_agree_with_each_other(self) -> None:
        for scene in radar():
            absolute = int(scene.identifier.split("_")[6])
            assert scene.orbit_number == (absolute - {"A": 73, "B": 27}[scene.serial]) % 175 + 1

    def test_one_known_pass_is_where_and_when_it_was(self) -> None:
        """A product of the flood of July 2021 is S1A_IW_GRDH_1SDV_20210715T055052_20210715T055117_038784_..."""
        day = [scene for scene in radar() if scene.start.date() == date(2021, 7, 15) and scene.serial == "A"]

        assert {"038784"} == {scene.identifier.split("_")[6] for scene in day if scene.orbit_number == 37}
        seconds = [abs(scene.start - datetime(2021, 7, 15, 5, 50, 52, tzinfo=UTC)) for scene in day]
        assert min(seconds) <= timedelta(seconds=30)


class TestFiji:
    @pytest.mark.parametrize("crossing", ["split", "beyond", "jumping"])
    def test_footprints_cross_the_antimeridian_in_the_habit_asked_for(self, crossing: Any) -> None:
        scenes = make_constellation(300, tiles=FIJI, crossing=crossing)
        crossing_ones = [scene for scene in scenes if "_T01KA" in scene.identifier]
        kinds = {scene.footprint["type"] for scene in crossing_ones}
        values = [longitude for scene in crossing_ones for longitude in longitudes(scene)]

        assert 20 < len(crossing_ones) < len(scenes)
        if crossing == "split":
            assert {"MultiPolygon"} == kinds
            assert (-180, 180) == (min(values), max(values))
        elif crossing == "beyond":
            assert {"Polygon"} == kinds
            assert 179 < min(values) < 180 < max(values) < 181
        else:
            assert {"Polygon"} == kinds
            assert all(179 < abs(value) <= 180 for value in values)
            assert all(width(scene) > 358 for scene in crossing_ones)

    def test_all_habits_come_when_none_is_asked_for(self) -> None:
        scenes = make_constellation(300, tiles=FIJI)
        crossing = [scene for scene in scenes if "_T01KAB" in scene.identifier]
        kinds = {(scene.footprint["type"], max(longitudes(scene)) > 180) for scene in crossing}

        assert {("MultiPolygon", False), ("Polygon", True), ("Polygon", False)} == kinds
        assert all(abs(scene.start.hour * 60 + scene.start.minute - 22 * 60 - 15) < 15 for scene in crossing)

    def test_tiles_that_do_not_cross_are_plain(self) -> None:
        plain = [scene for scene in make_constellation(300, tiles=FIJI) if "_T60K" in scene.identifier]

        assert {"Polygon"} == {scene.footprint["type"] for scene in plain}
        assert all(177 < value < 180 for scene in plain for value in longitudes(scene))


async def test_thousands_are_served_and_no_archive_is_made_before_it_is_asked_for(tmp_path: Path) -> None:
    scenes = make_constellation(3_000, size=5_000)
    ours = [scene.identifier for scene in scenes if scene.collection == "S2_MSIL2A"]
    async with bench(tmp_path, scenes) as it:
        answer = await it.search("parentIdentifier=S2_MSIL2A&count=100")
        last = await it.search(f"parentIdentifier=S2_MSIL2A&count=100&startIndex={len(ours) - 1}")
        before = listing(tmp_path / "store")
        fetched = await it.fetch(scenes[0])

        assert [] == before
        assert 1 == len(listing(tmp_path / "store"))
    assert (200, scenes[0].size) == (fetched.status, len(fetched.body))
    assert len(ours) == answer.json["totalResults"]
    assert ours[:100] == names(answer)
    assert ours[-2:] == names(last)


async def test_the_same_acquisition_in_all_its_versions_can_be_asked_for_by_names(tmp_path: Path) -> None:
    versions = defaultdict(list)
    for scene in level2a():
        versions[scene.start, tile(scene)].append(scene.identifier)
    most = max(versions.values(), key=len)
    async with bench(tmp_path, year()) as it:
        answer = await it.search(f"parentIdentifier=S2_MSIL2A&count=100&identifier={','.join(most)}")

    assert 2 < len(most)
    assert sorted(most) == names(answer)
