"""How many requests and bytes parts of real products take, as it was measured when parts were designed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.wish import Wish
from collgs_async.selection.bands import choose_members
from collgs_async.storage.member_spans import GAP, coalesced, member_spans
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_directory import read_members
from tests.support.golden import GOLDEN, write_sparse

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.storage.zip_directory import Directory

KIB, MIB = 1 << 10, 1 << 20
GAPS = (0, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
TAIL = 64 * KIB
METADATA = "MTD_*.xml,*/MTD_*.xml,manifest.safe"
FOUR_AND_SCENE = {"bands": "B02,B03,B04,B08,SCL", "members": f"{METADATA},INSPIRE.xml"}
OCEAN = {"bands": "Oa03,Oa08,Oa17,GEO,FLAGS", "members": "tie_geo*,time_coordinates.nc"}
ROWS: list[tuple[str, dict[str, Any], int, float, tuple[int, ...]]] = [
    ("L2A", FOUR_AND_SCENE, 10, 47.9, (5, 4, 4, 3, 3)),
    ("L2A", {"bands": "B02,B03,B04,B8A,SCL", "resolution": "20"}, 7, 13.6, (4, 4, 4, 4, 4)),
    ("L2A", {"members": f"*_20m.jp2,{METADATA}"}, 20, 36.4, (6, 4, 4, 4, 3)),
    ("L2A", {"bands": "SCL"}, 3, 0.2, (3, 3, 3, 3, 3)),
    ("L2A", {"metadata_only": True}, 19, 0.1, (3, 3, 3, 3, 3)),
    ("L1C", {"bands": "B02,B03,B04,B08", "members": METADATA}, 8, 63.6, (5, 4, 4, 4, 3)),
    ("GRD", {"bands": "VV"}, 5, 50.0, (3, 3, 3, 2, 2)),
    ("COG", {"bands": "VV"}, 5, 50.0, (3, 3, 3, 2, 2)),
    ("SLC", {"bands": "VV,IW2"}, 6, 16.7, (2, 2, 2, 2, 2)),
    ("SLC", {"metadata_only": True}, 25, 0.0, (6, 6, 6, 6, 6)),
    ("OLCI", OCEAN, 9, 23.3, (8, 8, 8, 7, 7)),
]
"""Product, wish, members, percent of the archive, and the ranges with the gaps of `GAPS` in the manifest's order."""

rows = pytest.mark.parametrize(("kind", "wish", "count", "percent", "ranges"), ROWS)


def spans_of(path: Path, kind: str, wish: dict[str, Any], **order: Any) -> tuple[Directory, ByteRanges, int]:
    """Write the archive; gives its directory, the bytes of the chosen members, and how many these are."""
    product = GOLDEN[kind]
    write_sparse(path, product, **order)
    directory = read_members(path)
    names = set(
        choose_members(
            [member.name for member in directory.members], Wish.from_dict(wish), identifier=product.identifier
        )
    )
    chosen = [member for member in directory.members if member.name in names]
    return directory, member_spans(directory, chosen), len(chosen)


def requested(spans: ByteRanges, gap: int) -> ByteRanges:
    return coalesced(spans, ByteRanges([]), gap)


@rows
def test_in_the_order_of_the_manifest(
    tmp_path: Path, kind: str, wish: dict[str, Any], count: int, percent: float, ranges: tuple[int, ...]
) -> None:
    path = tmp_path / "a.zip"
    directory, spans, chosen = spans_of(path, kind, wish)

    assert path.stat().st_size - directory.start <= TAIL, "one request gives the directory"
    assert count == chosen
    assert percent == pytest.approx(100 * spans.total / path.stat().st_size, abs=0.06)
    assert ranges == tuple(len(list(requested(spans, gap))) for gap in GAPS)
    assert requested(spans, 256 * KIB).total - spans.total <= 0.3 * MIB
    assert requested(spans, GAP).total - spans.total <= 0.4 * MIB


@rows
@pytest.mark.parametrize("folders", [False, True])
def test_in_any_order_and_with_entries_for_folders(
    tmp_path: Path,
    kind: str,
    wish: dict[str, Any],
    count: int,
    percent: float,
    ranges: tuple[int, ...],
    *,
    folders: bool,
) -> None:
    for seed in range(5):
        path = tmp_path / "a.zip"
        directory, spans, chosen = spans_of(path, kind, wish, shuffled=seed, folders=folders)

        assert path.stat().st_size - directory.start <= TAIL
        assert count == chosen
        assert percent == pytest.approx(100 * spans.total / path.stat().st_size, abs=0.06)
        found = requested(spans, GAP)
        assert len(list(found)) <= count
        assert found.total - spans.total <= min(0.8 * MIB, (count - 1) * GAP)
