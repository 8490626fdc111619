"""An archive says who it is: another product's is never given a product's name, whatever else is unclear is kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client
from collgs_async.errors import IntegrityError
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.audit import verify_folder
from collgs_async.storage.identity import OtherProductError, refuse_another, top_folder
from collgs_async.storage.verify import Level, verify_archive
from tests.conftest import level2_scenes
from tests.support.archives import Entry, written
from tests.support.servers import files_in, plain, pull, raw_server, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conftest import CommandHere, RecordedSleeps
    from tests.support.servers import Asked

S1 = "S1A_IW_GRDH_1SDV_20230929T054052_20230929T054117_050554_0616D1_FBDA"
S2 = "S2A_MSIL1C_20250501T103021_N0511_R008_T31UGR_20250501T120000"
S2_OTHER = "S2A_MSIL1C_20250501T103021_N0511_R008_T31UGR_20250502T090000"
S2_OLD = "S2A_OPER_PRD_MSIL1C_PDMC_20151230T202002_R008_V20151230T105153_20151230T105153"
GRANULE = "S2A_OPER_MSI_L1C_TL_SGS__20151230T162245_A002734_T31UGR_N02.01"
S3 = "S3A_OL_1_EFR____20250501T095930_20250501T100230_20250501T120000_0179_125_122_2160_PS1_O_NR_004"
S5P = "S5P_OFFL_L2__NO2____20250501T095930_20250501T110230_39112_03_020800_20250503T012345"
S6 = "S6A_P4_1B_LR______20250501T095930_20250501T105542_20250502T120000_3372_123_122_061_EUM__OPE_ST_F09"


def names(top: str) -> list[str]:
    return [f"{top}/", f"{top}/manifest.safe", f"{top}/GRANULE/B02.jp2"]


def product(identifier: str, top: str | None = None, *, size: int = 20_000) -> bytes:
    """Write an archive, of which the top folder may be another."""
    folder = (f"{identifier}.SAFE" if top is None else top).encode()
    data = [(b"manifest.safe", b"<xfdu/>"), (b"GRANULE/B02.jp2", identifier.encode() * (size // len(identifier)))]
    return written([Entry(b"/".join(filter(None, (folder, name))), content) for name, content in data])


@pytest.mark.parametrize(
    ("expected", "members"),
    [
        ("P.SAFE", ["P.SAFE/a", "P.SAFE/b/c", "P.SAFE/"]),
        ("P.SAFE", ["P.SAFE\\a", "./P.SAFE/b", "/P.SAFE/c"]),
        ("P.SAFE", ["P.SAFE/a", "__MACOSX/._P.SAFE", ".DS_Store"]),
        ("P.nc", ["P.nc"]),
        (None, ["a", "b"]),
        (None, ["P.SAFE/a", "Q.SAFE/a"]),
        (None, []),
        (None, ["", "/", "./"]),
    ],
)
def test_top_folder_is_what_all_members_have_in_common(expected: str | None, members: list[str]) -> None:
    assert expected == top_folder(members)


@pytest.mark.parametrize(
    ("identifier", "top"),
    [
        (S1, f"{S1}.SAFE"),
        (S2, f"{S2}.SAFE"),
        (S2_OLD, f"{S2_OLD}.SAFE"),
        (GRANULE, GRANULE),
        (S3, f"{S3}.SEN3"),
        (S5P, f"{S5P}.nc"),
        (S6, f"{S6}.SEN6"),
        (S2, S2),
        (S2, f"{S2.lower()}.safe"),
        (f"{S2}.SAFE", f"{S2}.SAFE"),
        (f"{S2}.SAFE.zip", S2),
        (f"{S2}-0123abcd", f"{S2}.SAFE"),
        (f"{S1}_COG", f"{S1}_COG.SAFE"),
        (f"{S1}_COG", f"{S1}.SAFE"),
        (f"{S1[:-4]}1234_COG", f"{S1}.SAFE"),
        (S2, S2[:40]),
    ],
)
def test_its_own_name_is_known_in_other_letters_and_with_other_endings(identifier: str, top: str) -> None:
    assert refuse_another(names(top), identifier)


@pytest.mark.parametrize(
    ("identifier", "top"),
    [
        (S2, "T31UGR"),
        (S2, "S2A"),
        (S2, "product.SAFE"),
        (S2, "a"),
        ("P1", "P2.SAFE"),
    ],
)
def test_what_is_no_products_name_is_no_reason_to_refuse(identifier: str, top: str) -> None:
    assert not refuse_another(names(top), identifier)


@pytest.mark.parametrize(
    ("identifier", "top"),
    [(S2, f"{S2_OLD}.SAFE"), ("8f2c1f7e-0b1d-4e5f-9a2b-0123456789ab", f"{S2}.SAFE"), ("mine", f"{S1}.SAFE")],
)
def test_a_name_that_may_be_of_the_same_product_says_which_one_it_is(identifier: str, top: str) -> None:
    assert refuse_another(names(top), identifier)


@pytest.mark.parametrize("around", ["data/x/", "a/b/c/d/", "product.SAFE/", "data\\x\\"])
def test_folder_of_another_product_is_refused_at_any_depth(around: str) -> None:
    with pytest.raises(OtherProductError, match=f"it is the archive of '{S2_OTHER}'"):
        refuse_another([f"{around}{S2_OTHER}.SAFE/manifest.safe"], S2)

    assert refuse_another([f"{around}{S2}.SAFE/manifest.safe"], S2)


@pytest.mark.parametrize("empty", [f"{S2}.SAFE/", f"{S2_OTHER}.SAFE/{S2}/", f"{S2}.SAFE\\"])
def test_empty_folder_of_its_name_makes_no_archive_of_another_product_its_own(empty: str) -> None:
    with pytest.raises(OtherProductError, match=f"it is the archive of '{S2_OTHER}'"):
        refuse_another([empty, f"{S2_OTHER}.SAFE/manifest.safe"], S2)

    assert refuse_another([f"{S2}.SAFE/"], S2)
    assert refuse_another([f"{S2}.SAFE/manifest.safe", f"{S2_OTHER}.SAFE/"], S2)


def test_granule_may_lie_in_the_folder_of_its_product() -> None:
    assert refuse_another([f"{S2_OLD}.SAFE/manifest.safe", f"{S2_OLD}.SAFE/GRANULE/{GRANULE}/B02.jp2"], GRANULE)


@pytest.mark.parametrize(
    ("identifier", "top"),
    [
        (S2, f"{S2_OTHER}.SAFE"),
        (S2, f"{S2.replace('T31UGR', 'T31UFR')}.SAFE"),
        (S2, f"{S2.replace('L1C', 'L2A')}.SAFE"),
        (S2, f"{S2.replace('N0511', 'N0510')}"),
        (S1, f"{S1[:-4]}1234.SAFE"),
        (S1, f"{S2}.SAFE"),
        (f"{S1}_COG", f"{S1.replace('050554', '050555')}.SAFE"),
        (S3, f"{S3.replace('NR', 'NT')}.SEN3"),
        (S5P, f"{S5P.replace('NO2', 'CO_')}.nc"),
        (S6, f"{S6.replace('3372', '3373')}.SEN6"),
        (S2_OLD, f"{S2_OLD.replace('R008', 'R051')}.SAFE"),
        (f"{S2}.SAFE", S2_OTHER),
    ],
)
def test_name_of_another_product_is_refused(identifier: str, top: str) -> None:
    with pytest.raises(OtherProductError, match=f"it is the archive of '{top.partition('.')[0]}'"):
        refuse_another(names(top), identifier)


@pytest.mark.parametrize(
    "members",
    [
        [f"{S2_OTHER}.SAFE/manifest.safe", "readme.txt"],
        ["index.html", f"{S2_OTHER}.SAFE/manifest.safe", "preview/a.png"],
        [f"product/{S2_OTHER}.SAFE/manifest.safe", "product/report.pdf"],
        [f"data\\{S2_OTHER}.SAFE\\manifest.safe"],
        [f"{S2_OTHER}.SAFE/", f"{S2.replace('T31UGR', 'T31UFR')}.SAFE/"],
        [f"{S2_OTHER}.nc", "readme.txt"],
    ],
)
def test_another_product_is_refused_beside_other_files_and_one_folder_further_in(members: list[str]) -> None:
    with pytest.raises(OtherProductError, match=S2_OTHER):
        refuse_another(members, S2)


@pytest.mark.parametrize(
    ("members", "known"),
    [
        ([f"{S2_OTHER}.SAFE/manifest.safe", f"{S2}.SAFE/manifest.safe"], True),
        ([f"product/{S2_OTHER}.SAFE/a", f"product/{S2}.SAFE/a"], True),
        ([f"{S2}.SAFE/{S2_OTHER}.SAFE/a"], True),
        ([f"data/{S2_OTHER}/a", "readme.txt"], False),
        ([f"data/more/{S2_OTHER}/a"], False),
        ([f"{S1}.SAFE/support/{S2_OTHER}.SAFE/a", f"{S2}.SAFE/a"], True),
        ([f"{S2_OTHER}.xml", "B02.jp2"], False),
    ],
)
def test_what_lies_beside_it_or_deeper_is_no_reason_to_refuse(members: list[str], known: bool) -> None:
    assert known == refuse_another(members, S2)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("before", [b"", b"PK00"])
def test_it_is_looked_at_on_each_level(tmp_path: Path, level: Level, before: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(written([Entry(f"{S2}.SAFE/manifest.safe".encode(), b"<xfdu/>")], before=before))

    verify_archive(path, level=level, identifier=S2)
    verify_archive(path, level=level)
    with pytest.raises(OtherProductError):
        verify_archive(path, level=level, identifier=S2_OTHER)


# --- over the wire


def sending(*archives: bytes) -> tuple[list[str], Callable[[Asked], AsyncIterator[bytes]]]:
    """Answer with one after the other, and with the last one from then on; the list grows with each request."""
    asked: list[str] = []

    async def say(one: Asked) -> AsyncIterator[bytes]:
        asked.append(one.path)
        yield plain(archives[min(len(asked), len(archives)) - 1], ETag='"tag"')

    return asked, say


@pytest.mark.parametrize("level", Level)
async def test_archive_of_another_product_is_fetched_once_more(
    tmp_path: Path, sleeps: RecordedSleeps, level: Level
) -> None:
    right = product(S2)
    asked, say = sending(product(S2_OTHER), right)
    async with (
        raw_server([(S2, "/archive.zip")], say) as server,
        Client(settings_for(server, tmp_path, {"verify": level}), sleep=sleeps) as client,
    ):
        report = await client.download_all()

    assert (1, 0, 2) == (report.downloaded, report.failed, len(asked))
    assert right == (tmp_path / f"{S2}.zip").read_bytes()


async def test_product_whose_archive_is_always_anothers_fails_alone(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    async def say(asked: Asked) -> AsyncIterator[bytes]:
        yield plain(product(S2 if "right" in asked.path else S2_OTHER), ETag='"tag"')

    async with raw_server([(S1, "/wrong.zip"), (S2, "/right.zip")], say) as server:
        report = await pull(server, tmp_path, sleeps)

    assert (1, 1, 3) == (report.downloaded, report.failed, len(server.archive_requests))
    assert [f"{S2}.zip"] == files_in(tmp_path)
    assert f"{S1}: the store sent the archive of {S2_OTHER!r}, twice; it is left out" in caplog.messages


@pytest.mark.parametrize("top", ["", "T31UGR", "product.SAFE"])
async def test_archive_that_does_not_say_is_kept_without_a_warning(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, top: str
) -> None:
    caplog.set_level(logging.INFO, "collgs_async")
    data = product(S2, top)
    _, say = sending(data)
    async with raw_server([(S2, "/archive.zip")], say) as server:
        report = await pull(server, tmp_path, sleeps)

    assert (1, 0) == (report.downloaded, report.failed)
    assert data == (tmp_path / f"{S2}.zip").read_bytes()
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]
    assert 1 == caplog.messages.count(f"{S2}: note: the archive does not say which product it is of")


@pytest.mark.parametrize("top", [f"{S2}.SAFE", f"{S2_OLD}.SAFE"])
async def test_archive_that_names_its_product_gets_no_note(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, top: str
) -> None:
    caplog.set_level(logging.INFO, "collgs_async")
    _, say = sending(product(S2, top))
    async with raw_server([(S2, "/archive.zip")], say) as server:
        await pull(server, tmp_path, sleeps)
        again = await pull(server, tmp_path, sleeps)

    assert 1 == again.skipped
    assert not [message for message in caplog.messages if "note" in message]


async def test_other_products_archive_under_a_right_name_is_not_counted_as_here(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """As a version of this program may have left it that did not look."""
    (tmp_path / f"{S2}.zip").write_bytes(product(S2_OTHER))
    right = product(S2)
    asked, say = sending(right)
    async with raw_server([(S2, "/archive.zip")], say) as server:
        report = await pull(server, tmp_path, sleeps)
        again = await pull(server, tmp_path, sleeps)

    assert (1, 0, 1) == (report.downloaded, report.skipped, again.skipped)
    assert ["/archive.zip"] == asked
    assert right == (tmp_path / f"{S2}.zip").read_bytes()
    assert any(f"(it is the archive of {S2_OTHER!r})" in message for message in caplog.messages)


async def test_other_products_archive_stays_until_the_right_one_is_here(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    wrong = product(S2_OTHER)
    (tmp_path / f"{S2}.zip").write_bytes(wrong)
    _, say = sending(wrong)
    async with raw_server([(S2, "/archive.zip")], say) as server:
        report = await pull(server, tmp_path, sleeps)

    assert 1 == report.failed
    assert wrong == (tmp_path / f"{S2}.zip").read_bytes()


# --- verify


@pytest.mark.parametrize("level", Level)
async def test_folder_is_held_against_the_names_of_its_files(tmp_path: Path, level: Level) -> None:
    (tmp_path / f"{S2}.zip").write_bytes(product(S2_OTHER))
    (tmp_path / f"{S1}.zip").write_bytes(product(S1))
    (tmp_path / "mine.zip").write_bytes(product(S2_OTHER))

    found = await verify_folder(tmp_path, level, SilentProgress())

    (bad,) = found.bad
    assert (f"{S2}.zip", f"it is the archive of {S2_OTHER!r}") == (bad.path.name, str(bad.problem))


async def test_archives_that_do_not_say_are_noted_and_counted(tmp_path: Path, run_cli: CommandHere) -> None:
    (tmp_path / f"{S1}.zip").write_bytes(product(S1))
    (tmp_path / f"{S2}.zip").write_bytes(product(S2, "T31UGR"))
    (tmp_path / "mine.zip").write_bytes(product(S2_OTHER))

    ended = await run_cli("verify", tmp_path)
    assert (0, True) == (ended.code, "all of them right; 1 does not say of which product" in ended.err)
    assert [tmp_path / f"{S2}.zip"] == [
        Path(line.partition(": note: ")[0]) for line in ended.err.splitlines() if "note" in line
    ]

    (tmp_path / "flat.zip").write_bytes(product(S2, ""))
    (tmp_path / f"{S1}.zip").write_bytes(product(S2))
    ended = await run_cli("verify", tmp_path)
    assert (1, True) == (ended.code, "1 of them bad; 2 do not say of which product" in ended.err)


async def test_repair_fetches_the_right_archive(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    await site.pull()
    first, second = (site.archive(scene) for scene in scenes)
    first.write_bytes(second.read_bytes())

    ended = await run_cli("verify", site.folder)
    assert (1, True) == (ended.code, f"it is the archive of {scenes[1].identifier!r}" in ended.err)
    ended = await run_cli("verify", site.folder, "--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url)

    assert 0 == ended.code
    assert [site.original(scene) for scene in scenes] == [first.read_bytes(), second.read_bytes()]
    assert [] == site.litter()


async def test_archives_of_the_demo_name_their_products(serve: Callable[..., Any]) -> None:
    (scene,) = scenes = level2_scenes(1)
    site = await serve(scenes)
    await site.pull()

    verify_archive(site.archive(scene), identifier=scene.identifier)
    with pytest.raises(IntegrityError):
        verify_archive(site.archive(scene), identifier=S1)
