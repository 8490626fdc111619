"""``sync --revalidate``: an archive that the store has replaced under the same name is noticed, and replaced here."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest

from collgs_async import Client
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.history import Change, History, Rates
from collgs_async.demo.login import SignIn
from collgs_async.demo.server import DemoServer
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.mirror import sync as sync_module
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.revalidate import Revalidator
from collgs_async.mirror.sync import Sync
from tests.conftest import level2_scenes
from tests.support.kills import Killed, Killer, remove_locks
from tests.support.mirrored import Mirrored, counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from tests.conftest import CommandHere, Ended, RecordedSleeps

SIZE = 20_000


@pytest.fixture
async def mirrored(tmp_path: Path, sleeps: RecordedSleeps) -> AsyncIterator[Mirrored]:
    async with DemoServer(level2_scenes(4, size=SIZE), tmp_path / "store") as server:
        yield Mirrored(server, tmp_path / "mirror", sleeps)


@pytest.mark.parametrize("longer", [0, 500])
async def test_a_replaced_archive_is_replaced_here_and_the_old_one_moved(mirrored: Mirrored, longer: int) -> None:
    await mirrored.sync()
    changed = mirrored.replace(1, longer=longer)
    old = mirrored.here(changed).read_bytes()

    result = await mirrored.sync()

    assert (0, (4, 1, 1, 0, 0)) == (result.code, counts(result))
    new = mirrored.here(changed).read_bytes()
    assert new != old
    assert [mirrored.folder / f".collgs/old/replaced/2026-11/{changed.identifier}.zip"] == mirrored.old()
    assert mirrored.old()[0].read_bytes() == old
    assert not (mirrored.folder / ".collgs" / "again").exists()
    assert (f"{changed.identifier}.zip", len(new)) == mirrored.file(changed)[:2]
    assert "moved to .collgs/old/replaced/2026-11" in mirrored.events(changed)[-2][1]
    assert [] == mirrored.query("SELECT * FROM change")
    assert {changed.identifier} == set(mirrored.requests("GET"))
    assert (1, 1) == tuple(result.to_dict()[name] for name in ("changed", "replaced"))

    again = await mirrored.sync()
    assert (4, 0, 0, 0, 0) == counts(again)
    assert 0 == mirrored.moved()


async def test_unchanged_archives_cost_no_body_and_are_asked_about_in_turn(mirrored: Mirrored) -> None:
    await mirrored.sync()
    asked: list[str] = []
    for _ in range(2):
        assert (2, 0, 0, 0, 0) == counts(await mirrored.sync(revalidate=2))
        assert 0 == mirrored.moved()
        asked += mirrored.requests("HEAD")
    assert sorted(asked) == sorted(scene.identifier for scene in mirrored.server.scenes)


async def test_nothing_is_asked_without_the_setting_nor_by_a_dry_run(mirrored: Mirrored) -> None:
    await mirrored.sync()
    mirrored.replace(0)
    assert (0, 0, 0, 0, 0) == counts(await mirrored.sync(revalidate=0))
    assert [] == mirrored.requests("HEAD")
    async with Client(mirrored.config()) as client:
        await Sync(client, clock=lambda: mirrored.now).rehearse(lambda *_: None)
    assert [] == mirrored.requests("HEAD")


async def test_the_same_bytes_under_another_entity_tag_are_not_replaced(mirrored: Mirrored) -> None:
    await mirrored.sync()
    scene = mirrored.server.scenes[2]
    mirrored.query("UPDATE file SET etag = '\"other\"' WHERE path = ?", f"{scene.identifier}.zip")
    before = mirrored.here(scene).stat()

    assert (4, 1, 0, 1, 0) == counts(await mirrored.sync())

    assert mirrored.here(scene).stat().st_ino == before.st_ino
    assert [] == mirrored.old()
    assert (4, 0, 0, 0, 0) == counts(await mirrored.sync())


async def test_several_archives_in_folders_go_with_their_stac_items(mirrored: Mirrored) -> None:
    settings = {"layout": "{year}/{tile}", "stac": True}
    await mirrored.sync(**settings)
    changed = [mirrored.replace(0), mirrored.replace(3, longer=7)]
    folders = [mirrored.here(scene).parent for scene in changed]

    assert (4, 2, 2, 0, 0) == counts(await mirrored.sync(**settings))

    assert folders == [mirrored.here(scene).parent for scene in changed]
    assert len(mirrored.old()) == 2
    for scene in changed:
        item = json.loads(mirrored.here(scene).with_name(f"{scene.identifier}.stac.json").read_text())
        assert item["assets"]["archive"]["file:size"] == mirrored.here(scene).stat().st_size
    for path in mirrored.old():
        item = json.loads(path.with_name(f"{path.stem}.stac.json").read_text())
        assert item["properties"]["deprecated"] is True
        (newer,) = (link["href"] for link in item["links"] if link["rel"] == "successor-version")
        assert (path.parent / newer).exists()


async def test_with_the_policy_delete_the_old_one_goes_for_good(mirrored: Mirrored) -> None:
    await mirrored.sync(superseded="delete", stac=True)
    changed = mirrored.replace(0)

    assert 1 == counts(await mirrored.sync(superseded="delete", stac=True))[2]

    assert len([*mirrored.folder.rglob(f"{changed.identifier}.*")]) == 2  # the archive and its item
    assert "deleted" in mirrored.events(changed)[-2][1]


async def test_a_hook_is_due_for_the_new_archive(mirrored: Mirrored) -> None:
    await mirrored.sync(on_archive="true")
    changed = mirrored.replace(0)
    await mirrored.sync(on_archive="true")
    assert 0 == mirrored.file(changed)[3]
    await mirrored.sync(on_archive="true")
    assert mirrored.file(changed)[3]


@pytest.mark.parametrize("fault", ["rotten", "forbidden"])
async def test_what_cannot_be_fetched_leaves_the_old_one_and_is_tried_again(
    mirrored: Mirrored, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mirrored.sync()
    changed = mirrored.replace(1)
    old = mirrored.here(changed).read_bytes()
    mirrored.server.apply_fault(changed.identifier, replace(FAULTS[fault], times=20))

    result = await mirrored.sync()

    assert (1, (4, 1, 0, 0, 1)) == (result.code, counts(result))
    assert mirrored.here(changed).read_bytes() == old
    assert any(
        changed.identifier in line and "the archive here stays, and the next sync tries again" in line
        for line in caplog.messages
    )
    mirrored.server.apply_fault(changed.identifier, replace(FAULTS[fault], times=0))
    with monkeypatch.context() as late:
        late.setattr(sync_module, "TimeLimit", lambda _: lambda: True)
        result = await mirrored.sync()
    assert (3, (0, 1, 0, 0, 0)) == (result.code, counts(result))
    result = await mirrored.sync(revalidate=1)
    assert (0, (1, 1, 1, 0, 0)) == (result.code, counts(result))
    assert mirrored.here(changed).read_bytes() != old


async def test_an_archive_that_the_store_has_no_more_stays(
    mirrored: Mirrored, caplog: pytest.LogCaptureFixture
) -> None:
    await mirrored.sync()
    scene = mirrored.server.scenes[1]
    mirrored.server.apply_fault(scene.identifier, FAULTS["missing"])

    result = await mirrored.sync()

    assert (0, (4, 0, 0, 0, 0)) == (result.code, counts(result))
    assert mirrored.here(scene).exists()
    assert any("the store has it no more: HTTP 404" in line for line in caplog.messages)


async def test_a_store_that_fails_is_asked_no_more(mirrored: Mirrored, caplog: pytest.LogCaptureFixture) -> None:
    await mirrored.sync()
    before = mirrored.query("SELECT asked FROM file ORDER BY product")
    for scene in mirrored.server.scenes:
        mirrored.server.apply_fault(scene.identifier, replace(FAULTS["500"], times=None))

    result = await mirrored.sync()

    assert 1 == result.code
    assert 1 == sum("the store is asked about no more archives" in line for line in caplog.messages)
    assert before == mirrored.query("SELECT asked FROM file ORDER BY product")


async def test_a_login_page_proves_nothing(mirrored: Mirrored) -> None:
    await mirrored.sync()
    scene = mirrored.server.scenes[0]
    mirrored.server.apply_fault(scene.identifier, replace(FAULTS["html"], times=None))

    result = await mirrored.sync()

    assert (0, (4, 0, 0, 0, 0)) == (result.code, counts(result))


async def test_entity_tags_that_differ_with_each_answer_prove_nothing(mirrored: Mirrored) -> None:
    await mirrored.sync()
    for scene in mirrored.server.scenes:
        mirrored.server.apply_fault(scene.identifier, FAULTS["etag-per-node"])

    assert (4, 0, 0, 0, 0) == counts(await mirrored.sync())
    assert 0 == mirrored.moved()


async def test_the_sign_in_of_the_run_is_used(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with DemoServer(level2_scenes(2, size=SIZE), tmp_path / "store", sign_in=SignIn("demo", "demo")) as server:
        mirrored = Mirrored(server, tmp_path / "mirror", sleeps)
        await mirrored.sync()
        mirrored.replace(0)
        assert (2, 1, 1, 0, 0) == counts(await mirrored.sync())


async def test_what_is_left_at_a_limit_of_bytes_is_resumed(mirrored: Mirrored) -> None:
    await mirrored.sync()
    changed = mirrored.replace(1, longer=16_000_000)

    result = await mirrored.sync(max_bytes=10_000_000, chunk_size=65536)

    assert (3, (4, 1, 0, 0, 0)) == (result.code, counts(result))
    assert [(1,)] == mirrored.query("SELECT count(*) FROM change")
    result = await mirrored.sync(revalidate=1)
    assert (0, (1, 1, 1, 0, 0)) == (result.code, counts(result))
    lost = 4 * 2**20  # at the most, of what had arrived when the limit was reached
    assert mirrored.moved() <= mirrored.here(changed).stat().st_size - 10_000_000 + lost


async def test_a_file_that_the_user_has_put_there_is_not_overwritten(
    mirrored: Mirrored, caplog: pytest.LogCaptureFixture
) -> None:
    await mirrored.sync()
    changed = mirrored.replace(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collgs_async.mirror.replacing._carry_out", _killed)
        with suppress(Killed):
            await mirrored.sync()
    remove_locks(mirrored.folder)
    path = mirrored.here(changed)
    path.write_bytes(path.read_bytes() + b"mine")

    for _ in range(2):
        result = await mirrored.sync()
        assert 1 == result.code
        assert path.read_bytes().endswith(b"mine")
    assert any("is not the archive that was recorded" in line for line in caplog.messages)

    path.unlink()
    assert 0 == (await mirrored.sync()).code
    assert 0 == (await mirrored.sync()).code
    assert not path.read_bytes().endswith(b"mine")


def _killed(*_: object) -> bool:
    raise Killed


async def test_what_a_killed_run_has_fetched_is_not_fetched_again(mirrored: Mirrored) -> None:
    await mirrored.sync()
    changed = mirrored.replace(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collgs_async.mirror.replacing.Replacer.take", _killed)
        with suppress(Killed):
            await mirrored.sync()
    remove_locks(mirrored.folder)

    result = await mirrored.sync()

    assert (4, 1, 1, 0, 0) == counts(result)
    assert 0 == mirrored.moved()
    assert [] == mirrored.query("SELECT * FROM change")
    assert len(mirrored.old()) == 1
    assert mirrored.here(changed).stat().st_size == mirrored.file(changed)[1]


@pytest.mark.parametrize("policy", ["keep", "delete"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_at_any_step_leaves_a_whole_archive_and_is_made_good(
    mirrored: Mirrored, policy: str, after: bool
) -> None:
    await mirrored.sync(stac=True, superseded=policy)
    kills, run = 0, Revalidator.run
    for at in range(60):
        changed = mirrored.replace(0)
        old = mirrored.here(changed).read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            killers: list[Killer] = []

            async def killed(work: Revalidator, watch: int, most: int) -> None:
                killers.append(Killer(patch, at, after=after))  # noqa: B023  (it is called within the turn)
                await run(work, watch, most)

            patch.setattr(Revalidator, "run", killed)
            with suppress(Killed):
                await mirrored.sync(stac=True, superseded=policy, revalidate=1)
        remove_locks(mirrored.folder)
        found = [one.read_bytes() for one in mirrored.folder.glob("*.zip") if one.stem == changed.identifier]
        # Any run over the folder ends what was begun, as far as it knows of it.
        async with ExclusiveRun(LedgerPaths.of(mirrored.config()), "prune", clock=lambda: mirrored.now):
            pass
        found.append(mirrored.here(changed).read_bytes())
        assert 0 == (await mirrored.sync(stac=True, superseded=policy, revalidate=4)).code
        new = mirrored.here(changed).read_bytes()
        assert new != old
        assert {*found} <= {old, new}
        assert [] == mirrored.query("SELECT * FROM change")
        assert not (mirrored.folder / ".collgs" / "again").exists()
        assert len(mirrored.old()) == (at + 1 if policy == "keep" else 0)
        kills += killers[0].came
        if not killers[0].came:
            break
    assert kills > 8


async def test_summary_and_status_tell_of_it(mirrored: Mirrored, run_cli: CommandHere) -> None:
    async def run(command: str, *words: str) -> Ended:
        return await run_cli(command, *words, "--output", mirrored.folder)

    search = ("--base-url", mirrored.server.url, "--collection", "S2_MSIL2A", "--outage", "0", "--revalidate", "9")
    assert "The store" not in (await run("sync", *search[:-2])).err
    assert "\nThe store: 4 archives asked about, none was replaced there.\n" in (await run("sync", *search)).err
    changed = mirrored.replace(0)
    mirrored.server.apply_fault(changed.identifier, replace(FAULTS["forbidden"], times=20))

    ended = await run("sync", *search)

    assert 1 == ended.code
    assert "\nThe store: 4 archives asked about, 1 replaced there; 0 fetched and replaced here.\n" in ended.err
    assert "1 archive was replaced at the store and could not be replaced here: it stays as before" in ended.err
    assert "replaced      1 archive by the store, and not fetched again yet\n" in (await run("status")).out
    assert 1 == json.loads((await run("status", "--format", "json")).out)["changed"]
    mirrored.server.apply_fault(changed.identifier, replace(FAULTS["forbidden"], times=0))
    ended = await run("sync", *search)
    assert 0 == ended.code
    assert "1 replaced there; 1 fetched and replaced here.\n" in ended.err
    assert "by the store" not in (await run("status")).out
    history = (await run("status", changed.identifier)).out
    assert "replaced, as it was at the store: the old archive was moved to .collgs/old/replaced/" in history


@cache
def constellation() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2021, 12, 31), size=1000)
    return [scene for scene in found if scene.collection == "S2_MSIL2A"][:20]


async def test_a_mirror_follows_a_history_with_repairs(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    history = History(constellation(), rates=Rates(swapped=0, replaced=0, withdrawn=0, returning=0, repaired=0.5))
    repaired = [one for one in history.events if one.change is Change.REPAIRED]
    assert repaired
    async with DemoServer([], tmp_path / "store") as server:
        mirrored = Mirrored(server, tmp_path / "mirror", sleeps)
        replaced = 0
        for moment in (history.begun + timedelta(days=60), history.ended, history.ended):
            server.scenes[:] = history.at(moment)
            result = await mirrored.sync(revalidate=100)
            assert 0 == result.code
            replaced += counts(result)[2]
        assert 0 == counts(result)[1]
        assert replaced == len(mirrored.old())
