"""`SyncClient`: one session for many calls, from scripts, notebooks and threads."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Action, Client, ConfigError, Credentials, Query, Status, SyncClient
from collgs_async.catalogue.catalogue import Catalogue
from collgs_async.demo.login import SignIn
from collgs_async.models.progress import SilentProgress
from collgs_async.sync.client import SyncCatalogue
from collgs_async.sync.loop_thread import LoopThread
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.commands import until
from tests.support.threaded import served, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from collgs_async.demo.server import DemoServer
    from collgs_async.models.product import Outcome


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DemoServer]:
    with served(level2_scenes(6), tmp_path / "store", page_maximum=2) as server:
        yield server


def use_it_all(server: DemoServer, folder: Path) -> None:
    with SyncClient(settings(server, folder)) as client:
        found = client.search()
        products = found.collect()
        first = client.download(products[0])
        states = [client.local_state(product) for product in products]
        told: list[Outcome] = []
        report = client.download_all(products[1:3], on_outcome=told.append)
        assert told == list(report.outcomes)
        sized = list(client.fetch_sizes(products))
        pictures = list(client.fetch_quicklooks(products))
        plan = client.create_plan()
        rest = client.download_plan(plan, on_outcome=told.append)
        assert told == [*report.outcomes, *rest.outcomes]

        assert (6, 6) == (found.yielded, found.total)
        assert first.path == client.path_for(products[0])
        assert first.path is not None
        assert is_archive(first.path)
        assert [Action.SKIP] + [Action.FETCH] * 5 == states
        assert (2, 0, 0) == (report.downloaded, report.skipped, report.failed)
        assert {scene.identifier: scene.size for scene in server.scenes} == {one.identifier: one.size for one in sized}
        assert [product.identifier for product in products] == [product.identifier for product, _ in pictures]
        assert all(picture is not None for _, picture in pictures)
        assert (3, 3) == (rest.downloaded, rest.skipped)
        assert client.report == rest
        assert 6 == len(client.catalogue.search().collect()) == len(plan.products)
        assert "S2_MSIL2A" in [collection.identifier for collection in client.catalogue.collections()]
        assert client.catalogue.describe() is not None
        assert client.check_login() is None


def test_in_a_script(server: DemoServer, tmp_path: Path) -> None:
    use_it_all(server, tmp_path)


async def test_in_a_notebook_whose_loop_runs(server: DemoServer, tmp_path: Path) -> None:
    use_it_all(server, tmp_path)


def test_many_calls_share_one_sign_in(tmp_path: Path) -> None:
    with served(level2_scenes(4), tmp_path / "store", sign_in=SignIn("demo", "demo")) as server:
        config = settings(server, tmp_path)
        with SyncClient(config, credentials=lambda: Credentials("demo", "demo")) as client:
            outcomes = [client.download(product) for product in client.search()]

        posts = [request for request in server.requests if request.method == "POST"]

    assert [Status.DOWNLOADED] * 4 == [outcome.status for outcome in outcomes]
    assert 1 == len(posts)


def test_leaving_a_search_early_reads_no_further_page(server: DemoServer, tmp_path: Path) -> None:
    with SyncClient(settings(server, tmp_path)) as client:
        for product in client.search():
            assert Status.DOWNLOADED is client.download(product).status
            break
        pages = [request for request in server.requests if request.status == 200 and "/search" in request.path]
        again = client.search().collect()

    assert 1 == len(pages)
    assert 6 == len(again)


def test_products_may_come_from_a_generator_that_searches_itself(server: DemoServer, tmp_path: Path) -> None:
    with SyncClient(settings(server, tmp_path)) as client:
        some = (product for product in client.search() if product.identifier != server.scenes[0].identifier)
        report = client.download_all(some)
        sized = list(client.fetch_sizes(product for product in client.search()))
        whole = client.download_all(client.search())

    assert (5, 0) == (report.downloaded, report.failed)
    assert 6 == len([product for product in sized if product.size])
    assert (1, 5) == (whole.downloaded, whole.skipped)


def test_threads_share_a_client(server: DemoServer, tmp_path: Path) -> None:
    with SyncClient(settings(server, tmp_path)) as client, ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(client.download, client.search().collect()))
        found = list(pool.map(lambda _: len(client.search().collect()), range(6)))

    assert [Status.DOWNLOADED] * 6 == [outcome.status for outcome in outcomes]
    assert [6] * 6 == found


def test_a_query_and_a_listener_go_in_as_in_the_client(server: DemoServer, tmp_path: Path) -> None:
    excluded: list[str] = []
    tile = server.scenes[0].identifier.split("_T")[1][:5]
    with SyncClient(base_url=server.url, output_directory=tmp_path, tile=tile) as client:
        query = Query.create("S2_MSIL2A")
        kept = client.search(query, on_excluded=lambda one: excluded.append(one.product.identifier)).collect()
        everything = client.catalogue.search(query).collect()

        assert 6 == len(kept) + len(excluded) == len(everything)
        assert server.scenes[0].identifier in {product.identifier for product in kept}
        with pytest.raises(ConfigError, match=r"parentIdentifier: expected a collection"):
            client.search()


def test_a_closed_client_says_so(server: DemoServer, tmp_path: Path) -> None:
    client = SyncClient(settings(server, tmp_path))
    (product, *_) = client.search()
    left = client.search()
    next(iter(left))
    client.close()
    client.close()

    for use in (
        lambda: client.download(product),
        lambda: client.search().collect(),
        lambda: list(left),
        client.__enter__,
    ):
        with pytest.raises(RuntimeError, match="the client is closed"):
            use()
    assert client.path_for(product).parent == tmp_path / "archives"


def test_a_client_that_was_not_used_is_closed_too(server: DemoServer, tmp_path: Path) -> None:
    client = SyncClient(settings(server, tmp_path))
    client.close()

    with pytest.raises(RuntimeError, match="the client is closed"):
        client.catalogue.collections()


def test_a_callback_that_calls_its_client_is_refused(server: DemoServer, tmp_path: Path) -> None:
    errors: list[BaseException] = []

    class Calling(SilentProgress):
        def finished(self, outcome: Outcome) -> None:
            try:
                client.local_state(outcome.product)
            except RuntimeError as error:
                errors.append(error)

    with SyncClient(settings(server, tmp_path), Calling()) as client:
        report = client.download_all()

    assert 6 == report.downloaded == len(errors)
    assert "wait for itself" in str(errors[0])


@pytest.mark.parametrize("error", [SystemExit(3), ValueError("of a callback")])
def test_what_a_callback_raises_is_raised_by_the_call(server: DemoServer, tmp_path: Path, error: BaseException) -> None:
    class Raising(SilentProgress):
        def started(self, *_: object, **__: object) -> None:
            raise error

    with SyncClient(settings(server, tmp_path), Raising()) as client:
        for _ in range(2):
            with pytest.raises(type(error), match=str(error)):
                client.download_all()
        assert 6 == len(client.search().collect())


def test_closing_ends_the_calls_of_other_threads(tmp_path: Path) -> None:
    with served(level2_scenes(2, size=4_000_000), tmp_path / "store", rate=200_000) as server:
        begun = threading.Event()

        class Listening(SilentProgress):
            def advanced(self, *_: object, **__: object) -> None:
                begun.set()

        client = SyncClient(settings(server, tmp_path), Listening())
        with ThreadPoolExecutor() as pool:
            call = pool.submit(client.download_all)
            assert begun.wait(HANGS)
            client.close()
            with pytest.raises(RuntimeError, match="closed meanwhile"):
                call.result(HANGS)

    assert [] == [thread for thread in threading.enumerate() if thread.name == "collgs-async"]
    assert [] == list((tmp_path / "archives").glob("*.lease"))
    assert [] != list((tmp_path / "archives").glob("*.part"))


def test_a_client_that_is_garbage_ends_its_thread(server: DemoServer, tmp_path: Path) -> None:
    client = SyncClient(settings(server, tmp_path))
    assert 6 == len(client.search().collect())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "collgs-async")

    del client
    gc.collect()

    thread.join(HANGS)
    assert not thread.is_alive()


FORGETFUL = """
import sys
from collgs_async import SyncClient

client = SyncClient(base_url=sys.argv[1], collection="S2_MSIL2A", output_directory=sys.argv[2], progress=None)
products = iter(client.search())
print(client.download(next(products)).status)
"""


def test_a_client_that_is_never_closed_is_closed_at_the_end(server: DemoServer, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FORGETFUL, server.url, str(tmp_path / "here")]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)

    assert (0, "downloaded\n", "") == (ended.returncode, ended.stdout, ended.stderr)
    assert [".zip"] == [path.suffix for path in (tmp_path / "here").iterdir()]


STOPPED = """
import asyncio, signal, sys
from collgs_async import SyncClient

def use():
    settings = {"base_url": sys.argv[2], "collection": "S2_MSIL2A", "output_directory": sys.argv[3]}
    with SyncClient(progress=None, segments=1, **settings) as client:
        try:
            client.download_all()
        except KeyboardInterrupt:
            print("stopped", client.report.found < 4, len(client.search().collect()), flush=True)

async def notebook():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as notebook kernels do while a cell runs
    use()

asyncio.run(notebook()) if sys.argv[1] == "notebook" else use()
"""


@pytest.mark.parametrize("place", ["script", "notebook"])
async def test_a_client_is_of_use_after_the_stop_button(serve: Callable[..., Any], tmp_path: Path, place: str) -> None:
    scenes = level2_scenes(4, size=2_000_000)
    site = await serve(scenes, faults={scene.identifier: fault("stall") for scene in scenes[1:]})  # they are not done
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STOPPED, place, site.server.url, str(tmp_path / "here")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: site.moved() > 1_000_000, process)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(HANGS):
        out, err = await process.communicate()

    assert (b"stopped True 4\n", b"", 0) == (out, err, process.returncode)
    assert not list((tmp_path / "here").glob("*.lease"))


def test_a_child_process_makes_its_own(server: DemoServer, tmp_path: Path) -> None:
    with SyncClient(settings(server, tmp_path)) as client:
        assert 6 == len(client.search().collect())
        child = os.fork()
        if child == 0:  # pragma: no cover - the child
            code = 1
            try:
                client.catalogue.collections()
            except RuntimeError as error:
                code = 0 if "make one in each process" in str(error) else 2
            client.close()
            os._exit(code)

        assert (child, 0) == os.waitpid(child, 0)
        assert 6 == len(client.search().collect())


# ------------------------------------------------------------------------------------------------------- the thread


def test_what_entering_raises_is_raised_by_each_call() -> None:
    class Refusing(AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None:
            raise OSError("no entry")

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("it was not entered")

    thread = LoopThread(Refusing())

    for _ in range(2):
        with pytest.raises(OSError, match="no entry"):
            thread.start()
    assert [] == [one for one in threading.enumerate() if one.name == "collgs-async" and one.is_alive()]


def test_what_leaving_raises_is_raised_by_close() -> None:
    @asynccontextmanager
    async def clinging() -> AsyncIterator[None]:
        yield
        raise OSError("no exit")

    thread = LoopThread(clinging())
    thread.start()

    with pytest.raises(OSError, match="no exit"):
        thread.close()
    thread.close()


def test_the_loop_waits_for_what_cleans_up() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def context() -> AsyncIterator[None]:
        yield
        steps.append("left")

    async def clean() -> None:
        await asyncio.sleep(0.01)
        steps.append("cleaned")

    thread = LoopThread(context())
    thread.start()
    thread.clean_up(clean())
    thread.close()
    thread.clean_up(clean())

    assert ["cleaned", "left"] == steps


# --------------------------------------------------------------------------------------------------------- the twin


@pytest.mark.parametrize(("one", "twin"), [(Client, SyncClient), (Catalogue, SyncCatalogue)])
def test_both_fronts_have_the_same_methods_with_the_same_parameters(one: type, twin: type) -> None:
    def methods(of: type) -> dict[str, list[str]]:
        public = {name: value for name, value in inspect.getmembers(of) if not name.startswith("_")}
        return {
            name: list(inspect.signature(value).parameters) if callable(value) else [] for name, value in public.items()
        }

    found, expected = methods(twin), methods(one)
    for name in ("close", "report"):
        found.pop(name, None)
    expected.pop("search_anonymously", None)

    assert expected == found
