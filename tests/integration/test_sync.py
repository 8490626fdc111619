"""The front without ``await``: in a script, and in a notebook, whose thread has a running loop."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import re
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import (
    AuthenticationError,
    CatalogueError,
    Client,
    Config,
    ConfigError,
    Query,
    Status,
    StorageError,
    sync,
)
from collgs_async.demo.login import SignIn
from collgs_async.models.progress import SilentProgress
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.commands import until
from tests.support.threaded import served, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.demo.server import DemoServer
    from collgs_async.models.product import Outcome


def use_it_all(server: DemoServer, folder: Path) -> None:
    """What a script does: search, take one, take all."""
    config = settings(server, folder)

    products = sync.search(config)
    outcome = sync.download(config, products[0])
    report = sync.run(config, report=folder / "report.json")

    assert {scene.identifier for scene in server.scenes} == {product.identifier for product in products}
    assert Status.DOWNLOADED is outcome.status
    assert outcome.path is not None
    assert is_archive(outcome.path)
    assert (2, 1, 0) == (report.downloaded, report.skipped, report.failed)
    assert 3 == json.loads((folder / "report.json").read_bytes())["summary"]["found"]


def test_in_a_script(tmp_path: Path) -> None:
    with served(level2_scenes(3), tmp_path / "store") as server:
        use_it_all(server, tmp_path)


def test_one_large_product_comes_over_several_connections(tmp_path: Path) -> None:
    scene = replace(level2_scenes(1)[0], size=6 * 2**20, deflated=False)
    with served([scene], tmp_path / "store", rate=2 * 2**20) as server:
        config = settings(server, tmp_path)

        outcome = sync.download(config, sync.search(config)[0])

    assert outcome.path is not None
    assert is_archive(outcome.path)
    assert outcome.attempts > 1


async def test_in_a_notebook(tmp_path: Path) -> None:
    with served(level2_scenes(3), tmp_path / "store") as server:
        use_it_all(server, tmp_path)

        assert asyncio.current_task() is not None


@pytest.mark.parametrize("within_a_loop", [False, True])
def test_errors_are_raised_as_they_are(tmp_path: Path, *, within_a_loop: bool) -> None:
    (tmp_path / "archives").write_text("")
    with served(level2_scenes(1), tmp_path / "store") as server:

        def use() -> None:
            with pytest.raises(CatalogueError, match="Unknown parentId 'NOPE'"):
                sync.search(settings(server, tmp_path / "elsewhere", parentIdentifier="NOPE"))
            with pytest.raises(ConfigError, match="output_directory: expected a folder, found a file of this name"):
                sync.run(settings(server, tmp_path / "archives"))
            with pytest.raises(StorageError, match="/proc"):
                sync.run(settings(server, Path("/proc/archives")))  # no folder can be made there

        if within_a_loop:
            asyncio.run(called(use))
        else:
            use()


async def called(function: Callable[[], None]) -> None:
    function()


def test_a_query_of_its_own_goes_before_the_configurations(tmp_path: Path) -> None:
    with served(level2_scenes(3), tmp_path / "store") as server:
        config = settings(server, tmp_path)

        found = sync.search(config, Query.create("S2_MSIL2A", count=2))
        report = sync.run(config, Query.create("S2_MSIL2A", count=1))

    assert (2, 1) == (len(found), report.downloaded)


def test_a_product_that_fails_is_an_outcome(tmp_path: Path) -> None:
    scene = level2_scenes(1)[0]
    with served([scene], tmp_path / "store", faults={scene.identifier: fault("missing")}) as server:
        config = settings(server, tmp_path)

        outcome = sync.download(config, sync.search(config)[0])

    assert Status.FAILED is outcome.status
    assert "HTTP 404: Not Found" == str(outcome.error)


@pytest.mark.parametrize("within_a_loop", [False, True])
def test_progress_is_told(tmp_path: Path, *, within_a_loop: bool) -> None:
    finished: list[str] = []

    class Listening(SilentProgress):
        def finished(self, outcome: Outcome) -> None:
            finished.append(outcome.product.identifier)

    with served(level2_scenes(2), tmp_path / "store") as server:

        def use() -> None:
            sync.run(settings(server, tmp_path), progress=Listening())

        if within_a_loop:
            asyncio.run(called(use))
        else:
            use()

    assert sorted(scene.identifier for scene in server.scenes) == sorted(finished)


def test_progress_is_shown_unless_it_is_not_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To a log, as here, in lines; the last one has all counts."""
    with served(level2_scenes(2), tmp_path / "store") as server:
        config = settings(server, tmp_path)
        found = sync.search(config)
        assert ("", "") == capsys.readouterr()

        sync.download(config, found[0])
        first = capsys.readouterr()
        sync.run(config)
        second = capsys.readouterr()
        sync.run(config, progress=None)
        third = capsys.readouterr()

    assert ["", "", "", ""] == [first.out, second.out, third.out, third.err]
    # A run of more than ten seconds tells them how far it is.
    assert re.fullmatch(r"00:\d\d:\d\d  1 product  .*\n", first.err.splitlines(keepends=True)[-1])
    assert re.fullmatch(r"00:\d\d:\d\d  2/2 products  .*\n", second.err.splitlines(keepends=True)[-1])


def test_the_report_has_each_outcome_with_path_and_checksum(tmp_path: Path) -> None:
    scenes = level2_scenes(3)
    with served(scenes, tmp_path / "store", faults={scenes[0].identifier: fault("missing")}) as server:
        report = sync.run(settings(server, tmp_path), progress=None)

    assert 3 == len(report.outcomes) == len(list(report.outcomes)) == len(list(report.outcomes))
    for outcome in report.outcomes:
        if outcome.path is None:
            assert "HTTP 404: Not Found" == str(outcome.error)
            with pytest.raises(ValueError, match="has no archive: HTTP 404"):
                outcome.checksum()
        else:
            assert hashlib.sha256(outcome.path.read_bytes()).hexdigest() == outcome.checksum()
            assert outcome.bytes == outcome.path.stat().st_size
    copy = pickle.loads(pickle.dumps(report))
    assert (2, 1, repr(report)) == (copy.downloaded, copy.failed, repr(copy))
    assert list(map(repr, report.outcomes)) == list(map(repr, copy.outcomes))
    assert "<td" in report._repr_html_()
    assert "not everything is here" in report._repr_html_()


def test_an_error_leaves_without_what_is_behind_it(tmp_path: Path) -> None:
    """A notebook would print hundreds of lines, through HTTP and the event loop."""
    config = Config.create(base_url="http://127.0.0.1:9/s", collection="S2_MSIL2A", retries=1, outage=0)

    async def search() -> None:
        async with Client(config) as client:
            await client.search().collect()

    async def download() -> None:
        async with Client(config) as client:
            async for product in client.catalogue.search():
                await client.download(product)

    for use in (lambda: sync.search(config), lambda: asyncio.run(search()), lambda: asyncio.run(download())):
        with pytest.raises(CatalogueError, match=r"no connection to 127\.0\.0\.1:9") as caught:
            use()
        text = "".join(traceback.format_exception(caught.value))
        assert len(text.splitlines()) < 40
        assert "aiohttp" not in text


def test_an_error_of_a_run_leaves_without_the_group_that_it_was_in(tmp_path: Path) -> None:
    """IPython prints such an error to stderr as plain text: the notebook has no error output."""
    with served(level2_scenes(2), tmp_path / "store", sign_in=SignIn("demo", "demo")) as server:
        config = settings(server, tmp_path)
        products = sync.search(config)

        async def download_all() -> None:
            async with Client(config) as client:
                await client.download_all()

        async def download() -> None:
            async with Client(config) as client:
                await client.download(products[0])

        for use in (
            lambda: sync.run(config, progress=None),
            lambda: asyncio.run(download_all()),
            lambda: asyncio.run(download()),
            lambda: sync.download(config, products[0], progress=None),
        ):
            with pytest.raises(AuthenticationError, match="there are no credentials") as caught:
                use()
            assert caught.value.__context__ is None
            assert len(traceback.format_exception(caught.value)) < 15


@pytest.mark.parametrize("wrong", ["S2A_MSIL2A", ["S2A_MSIL2A"], [7]])
def test_what_is_no_product_is_refused(tmp_path: Path, wrong: Any) -> None:
    config = Config.create(base_url="http://127.0.0.1:9/s", collection="S2_MSIL2A", output_directory=tmp_path)

    with pytest.raises(
        TypeError, match=r"^products: expected products, as a search yields them, found one of type"
    ) as caught:
        sync.download(config, wrong, progress=None)
    assert caught.value.__context__ is None


def test_a_list_of_products_is_downloaded_in_one_session(tmp_path: Path) -> None:
    with served(level2_scenes(3), tmp_path / "store", sign_in=SignIn("demo", "demo")) as server:
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("COLLGS_USERNAME", "demo")
            environ.setenv("COLLGS_PASSWORD", "demo")
            config = settings(server, tmp_path)
            products = sync.search(config)

            report = sync.download(config, products[:2], report=tmp_path / "report.json")
            outcome = sync.download(config, products[2])
        posted = [request for request in server.requests if request.method == "POST"]

    assert (2, Status.DOWNLOADED, 2) == (report.downloaded, outcome.status, len(posted))
    assert 2 == len(json.loads((tmp_path / "report.json").read_bytes())["products"])
    with pytest.raises(TypeError, match=r"^report: expected a list of products beside it, found a single one"):
        sync.download(config, products[2], report="x")  # type: ignore[call-overload]  # as it is meant to be


SCRIPT = """
import asyncio, signal, sys
from collgs_async import Config, DownloadOptions, sync

def use():
    options = DownloadOptions(segments=1)
    config = Config(base_url=sys.argv[2], parameters={"parentIdentifier": "S2_MSIL2A"}, download_options=options)
    sync.run(config, report="report.json")

async def notebook():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as notebook kernels do while a cell runs
    use()

asyncio.run(notebook()) if sys.argv[1] == "notebook" else use()
"""


@pytest.mark.parametrize("place", ["script", "notebook"])
async def test_the_stop_button_ends_a_run_in_good_order(serve: Callable[..., Any], tmp_path: Path, place: str) -> None:
    scenes = level2_scenes(4, size=2_000_000)
    site = await serve(scenes, faults={scene.identifier: fault("stall") for scene in scenes[1:]})  # they are not done
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT, place, site.server.url),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: site.moved() > 2_000_000, process)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(HANGS):
        _, said = await process.communicate()

    assert b"KeyboardInterrupt" == said.split()[-1]
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["summary"]["found"] == len(report["products"]) < 4


async def test_an_interrupt_of_a_stopped_script_is_heard_when_it_goes_on(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """The kernel may hand it to any thread, and Python hears of it in the main thread alone."""
    scenes = level2_scenes(4, size=2_000_000)
    site = await serve(scenes, faults={scene.identifier: fault("stall") for scene in scenes[1:]})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT, "script", site.server.url), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    await until(lambda: site.moved() > 2_000_000, process)
    for one in (signal.SIGSTOP, signal.SIGINT, signal.SIGCONT):  # Ctrl-Z, kill -INT, fg
        process.send_signal(one)
    async with asyncio.timeout(HANGS):
        _, said = await process.communicate()

    assert b"KeyboardInterrupt" == said.split()[-1]
