"""STAC items beside archives, and the catalogs of folders: what is in them, and what lies in their place."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Product, RawTimes
from collgs_async.errors import CollgsError, FileError
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.reporting.stac_items import Obtained, checksum_of, is_up_to_date, item_path, read_item, write_item
from collgs_async.storage.archive_reading import Stopped
from tests.support.archives import Entry, written
from tests.support.stac_schemas import schema_problems
from tests.support.trees import ID, extracted

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 30, 12, 0, 0, 250_000, tzinfo=UTC)
CATALOGUE = "https://ada:secret@collgs.example/search"
SQUARE = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}
PRODUCT = Product(
    ID,
    "https://ada:secret@store.example/a.zip",
    "S2_MSIL2A",
    RawTimes("2025-05-01T10:30:21Z", "2025-05-01T10:31:00Z"),
    SQUARE,
    cloud_cover=12.5,
    created=AT,
)
OBTAINED = Obtained(AT, AT, "crc", '"tag"', "Fri, 02 May 2025 10:00:00 GMT")
CONTENT = b"PK\3\4 an archive" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def write(files: Path, obtained: Obtained = OBTAINED, product: Product = PRODUCT, **more: Any) -> str | None:
    return write_item(product, files, obtained, catalogue=CATALOGUE, **more)


def item(files: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(item_path(files).read_bytes())
    assert [] == schema_problems(found)
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / f"{ID}.zip"
    path.write_bytes(CONTENT)
    return path


def test_an_item_says_what_the_archive_is_and_where_it_is_from(archive: Path) -> None:
    assert SHA256 == write(archive)

    found = item(archive)
    assert f"{ID}.stac.json" == item_path(archive).name
    assert {
        "href": f"./{ID}.zip",
        "type": "application/zip",
        "title": "ZIP archive",
        "roles": ["data"],
        "file:size": len(CONTENT),
        "file:checksum": f"1220{SHA256}",
    } == found["assets"]["archive"]
    ours = {name: value for name, value in found["properties"].items() if name.startswith("collgs:")}
    assert "collgs-async " in ours.pop("collgs:client")
    assert {
        "collgs:retrieved": "2026-11-30T12:00:00.250000Z",
        "collgs:verified": {"at": "2026-11-30T12:00:00.250000Z", "how": "crc"},
        "collgs:source": "https://store.example/a.zip",
        "collgs:etag": '"tag"',
        "collgs:last_modified": "Fri, 02 May 2025 10:00:00 GMT",
        "collgs:catalogue": "https://collgs.example/search",
    } == ours
    assert ("L2A", "05.11") == tuple(found["properties"][f"processing:{name}"] for name in ("level", "version"))
    assert "secret" not in item_path(archive).read_text()
    via = f"https://collgs.example/search?parentIdentifier=S2_MSIL2A&identifier={ID}&httpAccept=json"
    assert {"parent": "./catalog.json", "via": via} == {link["rel"]: link["href"] for link in found["links"]}


def test_the_same_is_written_with_the_same_bytes(archive: Path) -> None:
    write(archive)
    first = item_path(archive).read_bytes()
    item_path(archive).unlink()
    write(archive)
    assert first == item_path(archive).read_bytes()

    write(archive, Obtained())  # nothing is known of this time: what the item says of the same bytes is kept
    assert first == item_path(archive).read_bytes()


def test_what_an_item_says_of_other_bytes_is_not_kept(archive: Path) -> None:
    write(archive)
    archive.write_bytes(CONTENT[:-1])

    write(archive, Obtained())

    assert not {"collgs:retrieved", "collgs:etag", "collgs:verified"} & item(archive)["properties"].keys()


def test_an_item_is_up_to_date_unless_its_archive_is_newer(archive: Path) -> None:
    assert not is_up_to_date(archive)
    write(archive)
    assert is_up_to_date(archive)
    later = item_path(archive).stat().st_mtime_ns + 10**9
    os.utime(archive, ns=(later, later))
    assert not is_up_to_date(archive)
    archive.unlink()
    assert not is_up_to_date(archive)


def test_members_of_an_archive_are_assets_with_their_own_digests(tmp_path: Path) -> None:
    names = [
        "manifest.safe",
        "GRANULE/L2A_T31UGR/IMG_DATA/R10m/T31UGR_20250501T103021_B02_10m.jp2",
        "GRANULE/L2A_T31UGR/IMG_DATA/R20m/T31UGR_20250501T103021_B02_20m.jp2",
        "GRANULE/L2A_T31UGR/IMG_DATA/R20m/T31UGR_20250501T103021_SCL_20m.jp2",
        "GRANULE/L2A_T31UGR/MTD ü&.xml",
        "a/same.xml",
        "b/same.xml",
    ]
    tree, _ = extracted(
        tmp_path, written([Entry(f"{ID}.SAFE/{name}".encode(), name.encode(), flags=1 << 11) for name in names])
    )

    assert write(tree.folder) is None

    assets = item(tree.folder)["assets"]
    assert f"{ID}.stac.json" == item_path(tree.folder).name
    assert {"manifest.safe", "B02_10m", "B02_20m", "SCL", "MTD ü&.xml"} < assets.keys()
    assert 7 == len(assets)
    band = assets["B02_10m"]
    assert ("image/jp2", [{"name": "B02"}], 10, ["data"]) == (band["type"], band["bands"], band["gsd"], band["roles"])
    path = tree.folder.with_name(band["href"].removeprefix("./").split("/")[0]) / band["href"].split("/", 2)[2]
    assert f"1220{hashlib.sha256(path.read_bytes()).hexdigest()}" == band["file:checksum"]
    assert assets["MTD ü&.xml"]["href"].endswith("/MTD%20%C3%BC%26.xml")


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "dangling", "other item", "foreign item"])
def test_what_else_lies_in_the_place_of_an_item_stays(archive: Path, tmp_path: Path, kind: str) -> None:
    place, other = item_path(archive), tmp_path / "other"
    other.write_text('{"properties": {}}')
    match kind:
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case "link":
            place.symlink_to(other)
        case "dangling":
            place.symlink_to(tmp_path / "nowhere")
        case "other item":
            place.write_text('{"properties": {"datetime": null}}')
        case "foreign item":
            place.write_text('{"type": "Feature", "properties": {"collgs:clients": 1}}')
    before = place.lstat()

    assert kind in {"other item", "foreign item"} or not is_up_to_date(archive)
    with pytest.raises(FileError, match="move it away"):
        write(archive)

    assert (before.st_ino, before.st_mtime_ns) == (place.lstat().st_ino, place.lstat().st_mtime_ns)
    assert '{"properties": {}}' == other.read_text()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"properties": 3}', "[" * 100_000, '"\\ud800"', "\x00"])
def test_a_broken_item_is_written_anew(archive: Path, text: str) -> None:
    item_path(archive).write_text(text)

    assert SHA256 == write(archive)
    assert item(archive)


@pytest.mark.parametrize("value", [None, 3, [], {}, "x", "\ud800", {"at": 3, "how": []}, "0001-01-01T00:00:00+23:59"])
def test_hostile_facts_in_an_earlier_item_are_left_out_or_written(archive: Path, value: Any) -> None:
    write(archive)
    found = json.loads(item_path(archive).read_bytes())
    for name in ("retrieved", "verified", "etag", "last_modified", "client"):
        found["properties"][f"collgs:{name}"] = value
    found["links"] = found["assets"]["thumbnail"] = value
    item_path(archive).write_text(json.dumps(found))

    write(archive, Obtained())

    assert SHA256 == checksum_of(item(archive))


@pytest.mark.parametrize("item", [{}, {"assets": None}, {"assets": {"archive": []}}, {"assets": {"archive": {}}}])
@pytest.mark.parametrize("checksum", [None, 3, "", "1220", "1220" + "z" * 64, "1114" + "0" * 40])
def test_an_item_without_a_sha256_has_none(item: dict[str, Any], checksum: Any) -> None:
    assert checksum_of(item) is None
    assert checksum_of({"assets": {"archive": {"file:checksum": checksum}}}) is None


def test_an_archive_that_cannot_be_read_has_no_item(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    (tmp_path / "b.zip").mkdir()
    (tmp_path / "c.zip").symlink_to("a.zip")
    for name in ("a.zip", "b.zip", "c.zip"):
        with pytest.raises((CollgsError, OSError)):
            write(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "d.zip")
    assert [] == list(tmp_path.glob("*.json"))


def test_an_archive_that_changes_while_it_is_read_gets_no_item(archive: Path) -> None:
    def stop() -> bool:
        archive.write_bytes(CONTENT[::-1])
        os.utime(archive, ns=(1, 1))
        return False

    with pytest.raises(FileError, match="it has changed while it was read"):
        write(archive, stop=stop)
    assert not item_path(archive).exists()


def test_reading_an_archive_can_be_stopped(archive: Path) -> None:
    with pytest.raises(Stopped):
        write(archive, stop=lambda: True)
    assert [archive] == list(archive.parent.iterdir())


def test_a_product_without_a_time_has_no_item(archive: Path) -> None:
    with pytest.raises(ValueError, match="sensing time"):
        write(archive, product=Product("a", None))
    assert read_item(archive) is None


class TestCatalogs:
    def put(self, folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / f"{name}.stac.json").write_text("{}")

    def links(self, folder: Path) -> dict[str, list[str]]:
        catalog = json.loads((folder / "catalog.json").read_bytes())
        assert [] == schema_problems(catalog)
        found: dict[str, list[str]] = {}
        for link in catalog["links"]:
            found.setdefault(link["rel"], []).append(link["href"])
        return found

    def test_each_folder_down_to_an_item_has_one_with_relative_links(self, tmp_path: Path) -> None:
        top = tmp_path / "archives"
        self.put(top / "S2" / "2025 ü#", "B", "A")
        self.put(top, "C")

        refresh_catalogs(top, [top / "S2" / "2025 ü#", top])

        assert {"root": ["./catalog.json"], "child": ["./S2/catalog.json"], "item": ["./C.stac.json"]} == self.links(
            top
        )
        assert {
            "root": ["../catalog.json"],
            "parent": ["../catalog.json"],
            "child": ["./2025%20%C3%BC%23/catalog.json"],
        } == self.links(top / "S2")
        assert {
            "root": ["../../catalog.json"],
            "parent": ["../catalog.json"],
            "item": ["./A.stac.json", "./B.stac.json"],
        } == self.links(top / "S2" / "2025 ü#")

    def test_only_what_differs_is_written(self, tmp_path: Path) -> None:
        self.put(tmp_path / "a", "A")
        self.put(tmp_path / "b", "B")
        folders = [tmp_path / "a", tmp_path / "b"]
        refresh_catalogs(tmp_path, folders)
        before = {path: path.stat().st_ino for path in tmp_path.rglob("catalog.json")}

        self.put(tmp_path / "b", "C")
        refresh_catalogs(tmp_path, folders)

        changed = [path for path in before if path.stat().st_ino != before[path]]
        assert [tmp_path / "b" / "catalog.json"] == changed
        assert ["./B.stac.json", "./C.stac.json"] == self.links(tmp_path / "b")["item"]

    def test_a_folder_that_has_lost_its_items_loses_its_catalog(self, tmp_path: Path) -> None:
        self.put(tmp_path / "a" / "b", "A")
        refresh_catalogs(tmp_path, [tmp_path / "a" / "b"])
        (tmp_path / "a" / "b" / "A.stac.json").unlink()

        refresh_catalogs(tmp_path, [tmp_path / "a" / "b"])

        assert [tmp_path / "catalog.json"] == list(tmp_path.rglob("catalog.json"))
        assert {"root"} == self.links(tmp_path).keys()

    def test_own_folders_trees_links_and_others_are_no_children(self, tmp_path: Path) -> None:
        for name in (".collgs/old", f"{ID}.parts", "elsewhere"):
            self.put(tmp_path / name, "A")
        (tmp_path / "elsewhere" / "catalog.json").write_text('{"type": "Catalog"}')
        (tmp_path / "link").symlink_to("elsewhere")
        (tmp_path / "X.stac.json").symlink_to("A.stac.json")
        (tmp_path / "Y.stac.json").mkdir()
        self.put(tmp_path, "A")

        refresh_catalogs(tmp_path, [tmp_path, tmp_path.parent])

        assert {"root": ["./catalog.json"], "item": ["./A.stac.json"]} == self.links(tmp_path)
        assert not (tmp_path.parent / "catalog.json").exists()

    @pytest.mark.parametrize("kind", ["other", "folder", "fifo", "link"])
    def test_what_else_has_the_name_stays_and_is_said(
        self, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        place = tmp_path / "catalog.json"
        match kind:
            case "other":
                place.write_text('{"type": "Catalog", "id": "mine"}')
            case "folder":
                place.mkdir()
            case "fifo":
                os.mkfifo(place)
            case "link":
                (tmp_path / "target").write_bytes(b"")
                place.symlink_to("target")
        self.put(tmp_path, "A")
        before = place.lstat().st_ino

        refresh_catalogs(tmp_path, [tmp_path])

        assert before == place.lstat().st_ino
        assert 1 == len(caplog.records)
        assert f"{place}: the STAC catalog was not written: " in caplog.text
        assert "move it away" in caplog.text

    def test_an_empty_file_is_a_catalog_that_was_never_finished(self, tmp_path: Path) -> None:
        (tmp_path / "catalog.json").write_bytes(b"")
        self.put(tmp_path, "A")

        refresh_catalogs(tmp_path, [tmp_path])

        assert ["./A.stac.json"] == self.links(tmp_path)["item"]
