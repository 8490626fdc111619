"""The sign-in from end to end: one for all workers, none that is forbidden, and no secret left anywhere."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from yarl import URL

from collgs_async import Client
from collgs_async.demo.login import SignIn
from collgs_async.http.credentials import Credentials
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere, Ended

NAME, PASSWORD = "ada", "s3cret/+=pass&word"
RIGHT = {"COLLGS_USERNAME": NAME, "COLLGS_PASSWORD": PASSWORD}
WRONG = {"COLLGS_USERNAME": NAME, "COLLGS_PASSWORD": "wrong/+=guess"}

REFUSED = (
    "error: the password for ada was refused: Invalid username or password.; "
    "it is not tried again, because accounts get locked"
)
NOTHING_SET = (
    "error: the store asks for a sign-in at 127.0.0.1, and there are no credentials: set COLLGS_USERNAME and "
    "COLLGS_PASSWORD, or add `machine 127.0.0.1 login NAME password WORD` to ~/.netrc"
)


def rules(**options: Any) -> SignIn:
    return SignIn(NAME, PASSWORD, **options)


def posts(site: Any) -> int:
    return sum(hit.method == "POST" for hit in site.server.requests)


def bytes_of_archives(site: Any) -> list[str]:
    """Name the archives, and the parts of some, that are in the folder."""
    return [path.name for path in site.folder.rglob("*.zip*") if path.suffix in {".zip", ".part"}]


def errors_of(ended: Ended) -> list[str]:
    return [line for line in ended.err.splitlines() if line.startswith("error: ")]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return environment variables that exclude the netrc file of the current user."""
    folder = tmp_path / "home"
    folder.mkdir()
    return {"HOME": str(folder), "NETRC": str(folder / "none")}


def client(site: Any, **options: Any) -> Client:
    """Make a client that has the right password and trusts the other name of this machine."""
    config = site.config(**options)
    connection = replace(config.connection, auth_hosts=("localhost",))
    config = replace(config, connection=connection)
    return Client(config, sleep=site.sleeps, credentials=lambda: Credentials(NAME, PASSWORD))


async def pull(site: Any, **options: Any) -> Any:
    async with client(site, **options) as one:
        return await one.download_all()


# -------------------------------------------------------------------------------------------- one sign-in for all


@pytest.mark.parametrize("form", ["html", "script"])
@pytest.mark.parametrize(("host", "chunked"), [(None, False), (None, True), ("localhost", True)])
async def test_fifty_products_of_eight_workers_cost_one_sign_in(
    serve: Callable[..., Any], form: str, host: str | None, chunked: bool
) -> None:
    scenes = level2_scenes(50, size=2_000)
    site = await serve(scenes, sign_in=rules(form=form, host=host, chunked=chunked))

    report = await pull(site, workers=8)

    assert (50, 0) == (report.downloaded, report.failed)
    assert 50 == sum(is_archive(site.archive(scene)) for scene in scenes)
    assert 1 == posts(site)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_session_that_expires_in_the_middle_costs_one_more(serve: Callable[..., Any], *, chunked: bool) -> None:
    site = await serve(level2_scenes(50, size=2_000), sign_in=rules(session_requests=30, chunked=chunked))

    report = await pull(site, workers=8)

    assert (50, 0) == (report.downloaded, report.failed)
    assert 2 == posts(site)


async def test_a_store_that_refuses_for_ever_after_the_sign_in_is_given_up(serve: Callable[..., Any]) -> None:
    """Two products, so that each might think that the other one is served."""
    scenes = level2_scenes(2, size=2_000)
    endless = {scene.identifier: replace(fault("flows"), times=None) for scene in scenes}
    site = await serve(scenes, sign_in=rules(), faults=endless)

    async with asyncio.timeout(HANGS):
        report = await pull(site, workers=2, outage=60)

    assert (0, 2) == (report.downloaded, report.failed)
    assert len(site.archive_hits()) < 60


async def test_one_archive_after_the_other_may_each_meet_the_end_of_a_session(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(6, size=2_000), sign_in=rules(session_requests=1))

    report = await pull(site, workers=1)

    assert (6, 0) == (report.downloaded, report.failed)
    assert 6 == posts(site)


async def test_a_resume_that_meets_the_form_signs_in_and_goes_on_where_it_was(serve: Callable[..., Any]) -> None:
    """The session ends with the line, and the request for the rest is answered by the form."""
    scenes = level2_scenes(1, size=3_000_000)
    cut = {scenes[0].identifier: fault("cut")}
    site = await serve(scenes, sign_in=rules(session_requests=1), faults=cut)

    report = await pull(site)

    assert (1, 0) == (report.downloaded, report.failed)
    assert site.original(scenes[0]) == site.archive(scenes[0]).read_bytes()
    assert 2 == posts(site)
    assert [200, 206] == [hit.status for hit in site.archive_hits() if hit.status < 300]
    assert report.bytes <= scenes[0].size + 100_000


async def test_the_next_run_signs_in_and_goes_on_where_the_last_one_stopped(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(1, size=6_000_000)
    stop_midway = {scenes[0].identifier: (fault("cut"), fault("500"))}
    site = await serve(scenes, sign_in=rules(), faults=stop_midway)
    first = await pull(site, retries=0)
    assert 1 == first.failed
    site.server.forget()

    second = await pull(site)

    assert 1 == second.downloaded
    assert site.original(scenes[0]) == site.archive(scenes[0]).read_bytes()
    assert 1 == posts(site)
    assert first.bytes + second.bytes <= scenes[0].size + 100_000


# ------------------------------------------------------------------------------------------- passwords and places


async def test_variables_are_enough(serve: Callable[..., Any], command: Command, home: dict[str, str]) -> None:
    scenes = level2_scenes(3, size=2_000)
    site = await serve(scenes, sign_in=rules())

    ended = assert_clean_exit(await command(*at_url(site), **home, **RIGHT))

    assert 0 == ended.code
    assert all(is_archive(site.archive(scene)) for scene in scenes)
    assert 1 == posts(site)


@pytest.mark.parametrize("where", ["NETRC", "HOME"])
async def test_a_netrc_file_is_enough(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str], tmp_path: Path, where: str
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules())
    file = tmp_path / "home" / ".netrc"
    file.write_text(f'machine 127.0.0.1 login {NAME} password "{PASSWORD}"\n')
    file.chmod(0o600)
    places = {"NETRC": {**home, "NETRC": str(file), "HOME": "/"}, "HOME": {**home, "NETRC": ""}}

    ended = assert_clean_exit(await run_cli(*at_url(site), **places[where]))

    assert (0, 1) == (ended.code, posts(site))


async def test_a_wrong_password_is_posted_once_and_stops_the_run_with_one_line(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(20, size=2_000), sign_in=rules())

    ended = assert_clean_exit(await run_cli(*at_url(site), "--workers", 8, **home, **WRONG))

    assert 1 == ended.code
    assert [REFUSED] == errors_of(ended)
    assert 1 == posts(site)
    assert [] == bytes_of_archives(site)


async def test_without_credentials_one_line_says_what_to_set_and_nothing_is_posted(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(20, size=2_000), sign_in=rules())

    ended = assert_clean_exit(await run_cli(*at_url(site), "--workers", 8, **home))

    assert 1 == ended.code
    assert [NOTHING_SET] == errors_of(ended)
    assert 0 == posts(site)
    assert [] == bytes_of_archives(site)


async def test_a_form_of_another_host_gets_nothing(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(20, size=2_000), sign_in=rules(host="localhost"))

    ended = assert_clean_exit(await run_cli(*at_url(site), "--workers", 8, **home, **RIGHT))

    assert 1 == ended.code
    (said,) = errors_of(ended)
    assert "would send the password to localhost, expected 127.0.0.1 or a host below it; nothing was sent" in said
    assert 0 == posts(site)


async def test_a_form_of_another_host_is_used_when_it_is_named(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules(host="localhost", chunked=True))

    ended = assert_clean_exit(await run_cli(*at_url(site), "--auth-hosts", "localhost", **home, **RIGHT))

    assert (0, 1) == (ended.code, posts(site))


async def test_the_catalogue_by_its_other_name_needs_no_naming(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules(host="localhost"))
    catalogue = str(URL(site.server.url).with_host("localhost"))

    ended = assert_clean_exit(
        await run_cli("--base-url", catalogue, *COLLECTION, "--output", site.folder, **home, **RIGHT)
    )

    assert (0, 1) == (ended.code, posts(site))


# ------------------------------------------------------------------------------------------------ the login command


def login_at(site: Any) -> tuple[object, ...]:
    return ("login", "--base-url", site.server.url, *COLLECTION)


async def test_login_prints_the_user_and_needs_no_collection(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules())

    ended = assert_clean_exit(await run_cli("login", "--base-url", site.server.url, **home, **RIGHT))

    assert (0, "signed in as ada at 127.0.0.1\n") == (ended.code, ended.err)
    assert 1 == posts(site)


@pytest.mark.parametrize(("variables", "said", "posted"), [(WRONG, REFUSED, 1), ({}, NOTHING_SET, 0)])
async def test_login_that_fails_is_one_line(
    serve: Callable[..., Any],
    run_cli: CommandHere,
    home: dict[str, str],
    variables: dict[str, str],
    said: str,
    posted: int,
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules())

    ended = assert_clean_exit(await run_cli(*login_at(site), **home, **variables))

    assert (1, f"{said}\n") == (ended.code, ended.err)
    assert posted == posts(site)


async def test_login_at_an_open_store_says_that_there_is_none(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(3, size=2_000))

    ended = assert_clean_exit(await run_cli(*login_at(site), **home, **RIGHT))

    assert (0, "the store serves archives without a sign-in\n") == (ended.code, ended.err)


# ------------------------------------------------------------------------------------------------------- secrets


def secrets_of(site: Any) -> set[str]:
    """Collect the password and every cookie, code and state of all requests, as they are and as URLs have them."""
    found = {PASSWORD}
    for hit in site.server.requests:
        found |= {pair.partition("=")[2] for pair in hit.headers.get("cookie", "").split("; ")}
        if "sso" in hit.path or "redirect_uri" in hit.path:
            found |= {value for name, value in hit.query.items() if name in {"state", "code", "session_code"}}
    found = {secret for secret in found if len(secret) >= 12}
    return found | {quote(secret, safe="") for secret in found} | {quote_plus(secret) for secret in found}


def leaks(text: str, secrets: set[str]) -> list[str]:
    return [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text]


def all_texts(*folders: Path) -> str:
    """Read every file, archives and their parts included, and the names of all."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path}\n{path.read_bytes().decode('latin-1')}" for path in paths)


@pytest.mark.parametrize("flag", ["-v", "--log-json"])
async def test_no_secret_is_in_any_output_of_a_run_that_goes_well(
    serve: Callable[..., Any], command: Command, home: dict[str, str], flag: str
) -> None:
    scenes = level2_scenes(10, size=2_000)
    faults = {scene.identifier: fault(name) for scene, name in zip(scenes, ["cut", "500", "html"], strict=False)}
    site = await serve(scenes, sign_in=rules(session_requests=8, chunked=True), faults=faults)

    ended = assert_clean_exit(await command(*at_url(site), flag, "-v", "--report", "report.json", **home, **RIGHT))

    secrets = secrets_of(site)
    assert 0 == ended.code
    assert len(secrets) > 20
    assert (command.folder / "report.json").exists()
    assert [] == leaks(ended.out + ended.err + all_texts(command.folder, site.folder), secrets)


async def test_no_secret_is_in_any_output_of_a_run_that_is_refused(
    serve: Callable[..., Any], run_cli: CommandHere, home: dict[str, str]
) -> None:
    site = await serve(level2_scenes(3, size=2_000), sign_in=rules(locked_after=0))

    ended = assert_clean_exit(await run_cli(*at_url(site), "-v", "--report", "report.json", **home, **RIGHT))

    assert 1 == ended.code
    assert "Account is temporarily disabled" in ended.err
    assert [] == leaks(ended.out + ended.err + all_texts(run_cli.folder, site.folder), secrets_of(site))


async def test_no_secret_is_in_what_a_killed_run_leaves_behind(
    serve: Callable[..., Any], command: Command, home: dict[str, str]
) -> None:
    scenes = level2_scenes(2, size=15_000_000)
    stalled = {scene.identifier: fault("stall") for scene in scenes}
    site = await serve(scenes, faults=stalled, sign_in=rules(chunked=True))
    process = await command.start(*at_url(site), "--segments", 1, **home, **RIGHT)
    await until(lambda: len(list(site.folder.glob("*.part.json"))) > 1, process)
    process.send_signal(signal.SIGKILL)
    ended = await command.end(process)

    endings = {re.sub(r".*\.zip", "", name) for name in site.litter()}
    assert {".part", ".part.json", ".part.lease"} <= endings
    secrets = secrets_of(site)
    assert len(secrets) > 5
    assert [] == leaks(ended.out + ended.err + all_texts(command.folder, site.folder), secrets)


# --------------------------------------------------------------------------------------------------------- the show


@pytest.mark.parametrize("form", ["html", "script"])
async def test_the_show_with_a_sign_in_ends_well(run_cli: CommandHere, home: dict[str, str], form: str) -> None:
    words = ("demo", "--products", 1, "--sign-in", form, "--output", "archives")

    ended = assert_clean_exit(await run_cli(*words, **home))

    assert 0 == ended.code
    assert "First run: 1 archive downloaded and verified" in ended.err


@pytest.fixture
async def served(command: Command, home: dict[str, str]) -> AsyncIterator[Path]:
    """Give the configuration that ``demo --serve --sign-in html`` prints, while it serves."""
    process = await command.start("demo", "--serve", "--products", 6, "--sign-in", "html", **home)
    assert process.stdout is not None
    lines: list[bytes] = []
    async with asyncio.timeout(HANGS):
        while not lines or lines[-1] != b"}\n":
            lines.append(await process.stdout.readline())
    config = command.folder / "served.json"
    config.write_bytes(b"".join(lines))
    yield config
    process.send_signal(signal.SIGINT)
    await command.end(process)


async def test_a_served_show_with_a_sign_in_can_be_rehearsed_with(
    served: Path, run_cli: CommandHere, home: dict[str, str]
) -> None:
    words = ("--config", served, "--output", "archives")

    refused = assert_clean_exit(await run_cli(*words, **home))
    accepted = assert_clean_exit(await run_cli(*words, **home, COLLGS_USERNAME="demo", COLLGS_PASSWORD="demo"))

    assert (1, 0) == (refused.code, accepted.code)
    assert "there are no credentials" in refused.err
    archives = list((run_cli.folder / "archives").glob("*.zip"))
    assert archives
    assert all(map(is_archive, archives))
