"""``sync --revalidate`` with stores whose answers are odd, missing or late, and at the limits of a run."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from collgs_async.config.settings import DownloadOptions
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.server import DemoServer
from collgs_async.ledger import change_records
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.mirror import replacing, revalidate, sync
from collgs_async.mirror.client_beside import ClientBeside
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.relocate import relocate
from collgs_async.mirror.time_limit import TimeLimit
from collgs_async.models.layout import Layout
from collgs_async.reporting.sync_summary import revalidated_lines
from tests.conftest import HANGS, level2_scenes
from tests.support.kills import Killed, remove_locks
from tests.support.mirrored import Mirrored, counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from collgs_async.demo.responses import Response
    from collgs_async.models.product import Product
    from collgs_async.models.report import Report
    from tests.conftest import RecordedSleeps

FORBIDDEN = FAULTS["forbidden"]


@pytest.fixture
async def mirrored(tmp_path: Path, sleeps: RecordedSleeps) -> AsyncIterator[Mirrored]:
    async with DemoServer(level2_scenes(4, size=20_000), tmp_path / "store") as server:
        yield Mirrored(server, tmp_path / "mirror", sleeps)


def alter(mirrored: Mirrored, patch: pytest.MonkeyPatch, change: Callable[[str, Response], Response]) -> None:
    """Have all answers about archives changed, by their method."""
    store = mirrored.server._store
    reply = store.reply

    async def altered(method: str, *words: object) -> Response:
        response = await reply(method, *words)  # type: ignore[arg-type]
        return change(method, response)

    patch.setattr(store, "reply", altered)


async def pending(mirrored: Mirrored, number: int) -> str:
    """Have a change noticed that could not be fetched; return the name of its product."""
    await mirrored.sync()
    changed = mirrored.replace(number)
    mirrored.server.apply_fault(changed.identifier, replace(FORBIDDEN, times=20))
    assert 1 == (await mirrored.sync()).code
    mirrored.server.apply_fault(changed.identifier, replace(FORBIDDEN, times=0))
    return changed.identifier


async def test_archives_of_which_nothing_was_known_are_watched_from_the_first_asking_on(mirrored: Mirrored) -> None:
    await mirrored.sync()
    for path in LedgerPaths.of(mirrored.config()).database.parent.glob("ledger.sqlite*"):
        path.unlink()
    await mirrored.sync()  # finds the archives, and asks about them
    mirrored.replace(0)

    assert (4, 1, 1, 0, 0) == counts(await mirrored.sync())


async def test_a_resumed_archive_without_validators_gets_those_that_the_store_has_told(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with DemoServer(level2_scenes(1, size=2_000_000), tmp_path / "store") as server:
        mirrored = Mirrored(server, tmp_path / "mirror", sleeps)
        await mirrored.sync()
        changed = mirrored.replace(0)
        with monkeypatch.context() as patch:
            patch.setattr(ClientBeside, "download_all", _killed)
            with suppress(Killed):
                await mirrored.sync()
        remove_locks(mirrored.folder)
        again = mirrored.folder / ".collgs" / "again"
        again.mkdir(exist_ok=True)
        (again / f"{changed.identifier}.zip.part").write_bytes(await _archive(mirrored, changed.identifier))

        assert (1, 1, 1, 0, 0) == counts(await mirrored.sync())

        assert mirrored.file(changed)[2]
        mirrored.replace(0)
        assert (1, 1, 1, 0, 0) == counts(await mirrored.sync())


async def _archive(mirrored: Mirrored, identifier: str) -> bytes:
    ((url,),) = mirrored.query("SELECT url FROM entry JOIN product ON id = product WHERE identifier = ?", identifier)
    return await asyncio.to_thread(lambda: bytes(urlopen(url).read()))


async def _killed(*_: object, **__: object) -> None:
    raise Killed


async def test_times_that_differ_with_each_answer_prove_nothing(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mirrored.sync()
    numbers = itertools.count()

    def change(_: str, response: Response) -> Response:
        modified = f"Mon, 02 Nov 2026 10:{next(numbers) % 60:02}:00 GMT"
        return replace(response, headers={**response.headers, "Last-Modified": modified})

    alter(mirrored, monkeypatch, change)

    for _ in range(2):
        assert (4, 0, 0, 0, 0) == counts(await mirrored.sync())
        assert 0 == mirrored.moved()


async def test_head_may_have_another_entity_tag_than_get(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    await mirrored.sync()

    def change(method: str, response: Response) -> Response:
        if method != "HEAD":
            return response
        return replace(response, headers={**response.headers, "ETag": f'{response.headers["ETag"][:-1]}-gzip"'})

    alter(mirrored, monkeypatch, change)

    for _ in range(2):
        assert (4, 0, 0, 0, 0) == counts(await mirrored.sync())
        assert mirrored.moved() <= 4  # a byte of each
    mirrored.replace(0)
    assert (4, 1, 1, 0, 0) == counts(await mirrored.sync())
    assert (4, 0, 0, 0, 0) == counts(await mirrored.sync())


async def test_an_error_at_the_second_question_proves_nothing(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mirrored.sync()
    asked: set[str] = set()
    mirrored.query("UPDATE file SET etag = '\"other\"'")

    def change(_: str, response: Response) -> Response:
        is_second = (name := response.headers["ETag"]) in asked
        asked.add(name)
        return replace(response, status=500) if is_second else response

    alter(mirrored, monkeypatch, change)

    result = await mirrored.sync()

    assert (1, (4, 0, 0, 0, 0)) == (result.code, counts(result))
    assert 4 == result.revalidation.unknown


async def test_answers_that_tell_nothing_are_no_proof_that_nothing_was_replaced(mirrored: Mirrored) -> None:
    await mirrored.sync()
    for scene in mirrored.server.scenes:
        mirrored.server.apply_fault(scene.identifier, replace(FAULTS["html"], times=None))

    result = await mirrored.sync()

    assert (1, 4, 4) == (result.code, result.revalidation.asked, result.revalidation.unknown)
    (line,) = revalidated_lines(result.facts(now=mirrored.now, cycle=9e9))
    assert "4 archives asked about, 4 of them in vain (a login page, an error), so it has told nothing" in line
    assert 4 == result.to_dict()["not_told"]


async def test_a_limit_of_time_holds_while_a_store_is_silent(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pending(mirrored, 0)

    async def silent(*_: object) -> Response:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(mirrored.server._store, "reply", silent)

    limit = TimeLimit(DownloadOptions(max_time=0.5))  # that of the downloads follows the clock of the tests
    monkeypatch.setattr(sync, "TimeLimit", lambda _: limit)

    result = await mirrored.sync()

    assert limit()
    assert (3, (0, 1, 0, 0, 0)) == (result.code, counts(result))
    assert result.revalidation.left == 1


async def test_an_interruption_ends_the_asking_at_once(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    name, asked = await pending(mirrored, 0), asyncio.Event()

    async def silent(*_: object) -> Response:
        asked.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(mirrored.server._store, "reply", silent)
    run = asyncio.create_task(mirrored.sync())
    await asked.wait()

    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, HANGS)
    assert [(name,)] == mirrored.query("SELECT identifier FROM change JOIN product ON id = product")


async def test_what_is_pending_is_told_also_where_the_downloads_have_reached_a_limit(mirrored: Mirrored) -> None:
    await pending(mirrored, 0)
    mirrored.here(mirrored.server.scenes[1]).unlink()
    mirrored.here(mirrored.server.scenes[2]).unlink()

    result = await mirrored.sync(max_bytes=100.0, workers=1)

    assert (3, (0, 1, 0, 0, 0)) == (result.code, counts(result))


async def test_what_is_pending_is_fetched_also_once_no_others_are_asked_about(mirrored: Mirrored) -> None:
    await pending(mirrored, 0)

    result = await mirrored.sync(revalidate=0)

    assert (0, (1, 1, 1, 0, 0)) == (result.code, counts(result))
    assert (0, 0, 0, 0, 0) == counts(await mirrored.sync(revalidate=0))


@pytest.mark.parametrize(("most", "asked"), [(3, 3), (9, 4)])
async def test_archives_are_asked_about_in_pieces_and_each_one_once(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, most: int, asked: int
) -> None:
    monkeypatch.setattr(change_records, "_AT_ONCE", 1)
    await mirrored.sync()
    mirrored.replace(0)
    mirrored.replace(2)

    result = await mirrored.sync(revalidate=most)

    assert (0, asked) == (result.code, result.revalidation.asked)
    assert asked == len({*mirrored.requests("HEAD")})
    assert 1 <= result.revalidation.replaced == result.revalidation.changed


async def test_an_archive_that_was_relocated_since_is_replaced_where_it_lies(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mirrored.sync()
    changed = mirrored.replace(0)

    def refuse(*_: object) -> bool:
        raise OSError(5, "Input/output error", "x")

    with monkeypatch.context() as patch:
        patch.setattr(replacing, "_carry_out", refuse)
        assert 1 == (await mirrored.sync()).code
        async with ExclusiveRun(LedgerPaths.of(mirrored.config()), "ledger relocate") as run:
            layout = Layout.parse("{year}/{tile}")
            await relocate(mirrored.folder, layout, run.ledger, run=run.run, now=run.begun, on_move=lambda *_: None)

    here = mirrored.here(changed)
    async with ExclusiveRun(LedgerPaths.of(mirrored.config()), "prune"):
        pass

    assert here.parent != mirrored.folder
    assert mirrored.file(changed)[:2] == (here.relative_to(mirrored.folder).as_posix(), here.stat().st_size)
    assert len(mirrored.old()) == 1


@pytest.mark.parametrize("policy", ["keep", "delete"])
@pytest.mark.parametrize("layout", [None, "{year}/{tile}"])
async def test_neither_archive_is_lost_with_the_ledger(
    mirrored: Mirrored, policy: str, layout: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"superseded": policy, **({"layout": layout} if layout else {})}
    await mirrored.sync(**settings)
    changed = mirrored.replace(0)
    here = mirrored.here(changed)
    old, rename = here.read_bytes(), Path.rename

    def kill(path: Path, to: Path) -> Path:
        if path.parent.name == "again" and path.suffix == ".zip":
            raise Killed
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kill)
        with suppress(Killed):
            await mirrored.sync(**settings)
    remove_locks(mirrored.folder)
    assert not here.exists()
    for path in LedgerPaths.of(mirrored.config()).database.parent.glob("ledger.sqlite*"):
        path.unlink()
    mirrored.server.apply_fault(changed.identifier, FAULTS["missing"])

    await mirrored.sync(**settings)

    assert [here] == [one for one in mirrored.folder.rglob(here.name) if ".collgs" not in one.parts]
    assert here.read_bytes() != old
    assert [old] == [one.read_bytes() for one in mirrored.old()]
    assert not (mirrored.folder / ".collgs" / "again").exists()


async def test_a_damaged_archive_of_which_nothing_is_known_is_left(
    mirrored: Mirrored, caplog: pytest.LogCaptureFixture
) -> None:
    await mirrored.sync()
    scenes = mirrored.server.scenes
    again = mirrored.folder / ".collgs" / "again"
    again.mkdir()
    for scene in scenes[:2]:
        (again / f"{scene.identifier}.zip").write_bytes(b"PK damaged")
    mirrored.here(scenes[0]).unlink()

    async with ExclusiveRun(LedgerPaths.of(mirrored.config()), "prune"):
        pass

    assert [f"{scenes[0].identifier}.zip"] == [path.name for path in again.iterdir()]
    assert any("it is left there, and not put in its place" in line for line in caplog.messages)


@pytest.mark.parametrize(("free", "expected"), [(10**9, [2]), (30_000, [1, 1])])
async def test_where_room_is_short_one_archive_is_fetched_after_the_other(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, free: int, expected: list[int]
) -> None:
    await mirrored.sync()
    mirrored.replace(0)
    mirrored.replace(2)
    begun, download_all = [], ClientBeside.download_all

    async def counted(client: ClientBeside, products: list[Product], **named: Any) -> Report:
        begun.append(len(products))
        return await download_all(client, products, **named)

    monkeypatch.setattr(ClientBeside, "download_all", counted)
    monkeypatch.setattr(revalidate, "_free_space", lambda _: free)

    result = await mirrored.sync()

    assert (0, (4, 2, 2, 0, 0)) == (result.code, counts(result))
    assert expected == begun
