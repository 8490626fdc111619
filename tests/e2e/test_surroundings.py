"""What the command takes from its surroundings: variables, files of the current folder, proxies, a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config, __version__
from collgs_async.cli.known_collections import keep_names
from collgs_async.config.settings import PROJECT_URL
from collgs_async.demo.login import SignIn
from collgs_async.errors import ConfigError
from collgs_async.http.credentials import Credentials, find_credentials, passwords_at_hand
from tests.conftest import HANGS, level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url, files_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

OTHERS = {
    "a program": '{"name": "web", "version": "1.0", "scripts": {}}',
    "a list": "[1, 2]",
    "with comments": '{\n  // of an editor\n  "theme": "dark",\n}',
    "no json": "theme = dark\n",
    "empty": "",
}


# -------------------------------------------------------------------------------------------------- COLLGS_CONFIG


async def test_a_variable_names_the_configuration(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))
    mine = run_cli.folder / "mine.json"
    mine.write_text(json.dumps({"base_url": site.server.url, "parameters": {"parentIdentifier": "S2_MSIL2A"}}))
    (run_cli.folder / "config.json").write_text('{"base_url": "http://127.0.0.1:9/"}')

    ended = await run_cli("search", COLLGS_CONFIG="$HOME/mine.json", HOME=str(run_cli.folder))
    by_flag = await run_cli("search", "-c", mine, COLLGS_CONFIG="missing.json")
    pulled = await run_cli("-o", site.folder, COLLGS_CONFIG="mine.json")

    assert (0, 0, 0) == (ended.code, by_flag.code, pulled.code)
    assert 2 == len(list(site.folder.glob("*.zip")))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("none.json", 'COLLGS_CONFIG: expected a JSON file, found "none.json": it is missing'),
        ("$NONE_/x", 'COLLGS_CONFIG: expected a variable that is set, found "$NONE_/x": NONE_ is not set; .*'),
    ],
)
async def test_a_variable_that_names_no_configuration_is_an_error(run_cli: CommandHere, value: str, line: str) -> None:
    ended = await run_cli("search", COLLGS_CONFIG=value)

    assert 2 == ended.code
    assert ended.err.startswith(f"error: {line.removesuffix('.*')}")


# ----------------------------------------------------------------------------------------------- unknown variables


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("COLLGS_WORKER", "; did you mean COLLGS_WORKERS?"),
        ("COLLGS_OUTPUT_DIRECTORY", "; did you mean COLLGS_OUTPUT?"),
        ("COLLGS_PASS", "; did you mean COLLGS_PASSWORD?"),
        ("COLLGS_USER", "; did you mean COLLGS_USERNAME?"),
        ("collgs_workers", "; did you mean COLLGS_WORKERS?"),
        ("COLLGS_XYZZY", ""),
    ],
)
async def test_an_unknown_variable_is_a_warning_with_the_nearest_one(
    serve: Callable[..., Any], run_cli: CommandHere, name: str, suggestion: str
) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli("search", *at_url(site), **{name: "hush7"})

    assert 0 == ended.code
    assert f"warning: {name}: there is no such variable, and it has no effect{suggestion}" == ended.err.splitlines()[0]
    assert "hush7" not in ended.err


async def test_known_and_empty_variables_are_no_warning(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    known = {"COLLGS_WORKERS": "2", "COLLGS_USERNAME": "a", "COLLGS_PASSWORD": "b", "COLLGS_NONE": "", "COLLGS": "x"}

    ended = await run_cli("search", *at_url(site), **known)

    assert "warning" not in ended.err


# ------------------------------------------------------------------------------------------- another's config.json


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
async def test_another_programs_configuration_is_left_alone(
    serve: Callable[..., Any], run_cli: CommandHere, content: str
) -> None:
    site = await serve(level2_scenes(1))
    await run_cli(*at_url(site))
    (run_cli.folder / "config.json").write_text(content)

    verified = await run_cli("verify", site.folder)
    searched = await run_cli("search", *at_url(site))
    bare = await run_cli()

    note = "note: config.json has no key of this program, and is ignored"
    assert (0, 0, 2) == (verified.code, searched.code, bare.code)
    assert (1, 1) == (verified.err.count(note), searched.err.count(note))
    assert "config.json is another program's" in bare.err
    assert content == (run_cli.folder / "config.json").read_text()


@pytest.mark.parametrize(
    "content", ['{"downlod_options": {}}', '{"parameters": {},}', '{"max_retries": 3}', '{"parameters": 1, "x": 2}']
)
async def test_a_configuration_of_ours_with_an_error_is_an_error(run_cli: CommandHere, content: str) -> None:
    (run_cli.folder / "config.json").write_text(content)
    (run_cli.folder / "downloads").mkdir()

    ended = await run_cli("verify")

    assert 2 == ended.code
    assert ended.err.startswith("error: config.json: ")


async def test_a_file_that_is_named_is_never_ignored(run_cli: CommandHere) -> None:
    (run_cli.folder / "other.json").write_text('{"name": "web"}')

    ended = await run_cli("search", "-c", "other.json", *COLLECTION)

    assert (2, "error: other.json: name: unknown key\n") == (ended.code, ended.err)


# ----------------------------------------------------------------------------------------------- notes and their keys


async def test_a_note_names_what_was_typed(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    (run_cli.folder / "config.json").write_text(json.dumps({"parameters": {"timeEnd": "2022-01-02"}}))

    by_flag = await run_cli("search", *at_url(site), "--end", "2022-01-01")
    by_variable = await run_cli("search", *at_url(site), COLLGS_END="2022-01-01")
    by_set = await run_cli("search", *at_url(site), "--set", "timeEnd=2022-01-01")
    by_key = await run_cli("search", *at_url(site))

    assert "note: --end 2022-01-01 means" in by_flag.err
    assert "note: COLLGS_END 2022-01-01 means" in by_variable.err
    assert "note: --end 2022-01-01 means" in by_set.err
    assert "note: timeEnd 2022-01-02 means" in by_key.err


async def test_a_variable_has_no_effect_beside_a_plan(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    await run_cli("plan", "plan.json", *at_url(site))

    ended = await run_cli("--plan", "plan.json", "-o", site.folder, COLLGS_TILE="31UGR", COLLGS_COUNT="3")

    assert "note: --plan goes by the plan alone; without effect here: COLLGS_COUNT, COLLGS_TILE" in ended.err


# ------------------------------------------------------------------------------------------------------ user agent


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, f"collgs-async/{__version__} (+{PROJECT_URL})"),
        ({"contact": "ada@example.org"}, f"collgs-async/{__version__} (+ada@example.org)"),
        ({"user_agent": "eo-downloader/1.0"}, "eo-downloader/1.0"),
        ({"user_agent": "eo/1", "contact": "https://example.org/eo"}, "eo/1 (+https://example.org/eo)"),
    ],
)
async def test_the_user_agent_has_a_contact(serve: Callable[..., Any], settings: dict[str, str], sent: str) -> None:
    from collgs_async import Client

    site = await serve(level2_scenes(1))

    async with Client(Config.create(base_url=site.server.url, collection="S2_MSIL2A", **settings)) as client:
        await client.search().collect()

    assert {sent} == {hit.headers["user-agent"] for hit in site.server.requests}


# --------------------------------------------------------------------------------------------------- password files


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(" secret7 word \r\n")
    environ = {"COLLGS_USERNAME": "ada", "COLLGS_PASSWORD_FILE": str(tmp_path / "word")}

    assert Credentials("ada", " secret7 word ") == find_credentials(environ, "collgs.lu")
    assert [("ada", " secret7 word ")] == list(passwords_at_hand(environ, "collgs.lu"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "it is missing"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"secret7\nsecret8\n", "it has several lines"),
        (b"\xff\xfesecret7", "it is not UTF-8 text"),
        (b"secret7" * 1000, "it has more than 4096 bytes"),
    ],
)
async def test_a_wrong_file_of_a_password_is_one_line_before_anything_is_asked(
    serve: Callable[..., Any], run_cli: CommandHere, content: bytes | None, problem: str
) -> None:
    site = await serve(level2_scenes(1))
    if content is not None:
        (run_cli.folder / "word").write_bytes(content)

    ended = await run_cli(*at_url(site), COLLGS_USERNAME="ada", COLLGS_PASSWORD_FILE="word")

    line = f'error: COLLGS_PASSWORD_FILE: expected a file with the password, found "word": {problem}\n'
    assert (2, line) == (ended.code, ended.err)
    assert [] == site.server.requests


async def test_a_folder_and_a_second_password_are_refused(run_cli: CommandHere) -> None:
    folder = await run_cli("search", *COLLECTION, COLLGS_USERNAME="ada", COLLGS_PASSWORD_FILE=".")
    both = await run_cli("search", *COLLECTION, COLLGS_PASSWORD="secret7", COLLGS_PASSWORD_FILE="word")

    assert (2, 2) == (folder.code, both.code)
    assert folder.err.endswith(": it is a folder\n")
    assert both.err == "error: COLLGS_PASSWORD_FILE: expected no COLLGS_PASSWORD beside it, found both\n"


def test_a_password_in_a_file_needs_a_user_name(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("secret7")

    with pytest.raises(ConfigError, match=r"^COLLGS_USERNAME: expected to be set, as COLLGS_PASSWORD_FILE is; found"):
        find_credentials({"COLLGS_PASSWORD_FILE": str(tmp_path / "word")}, "collgs.lu")


async def test_what_asks_nothing_does_not_mind_the_password(run_cli: CommandHere) -> None:
    (run_cli.folder / "downloads").mkdir()

    assert 0 == (await run_cli("verify", COLLGS_PASSWORD_FILE="missing")).code


# ---------------------------------------------------------------------------------------------------------- proxies


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
async def test_a_socks_proxy_is_refused_in_one_line(run_cli: CommandHere, name: str) -> None:
    words = ("search", *COLLECTION, "--base-url", "http://collgs.invalid/search")

    ended = await run_cli(*words, **{name: "socks5h://me:secret7@127.0.0.1:1080"})

    line = "expected an http proxy, found a socks5h one; SOCKS is not supported, and --proxy can name another one"
    assert (2, f"error: {name}: {line}\n") == (ended.code, ended.err)


async def test_a_socks_proxy_that_does_not_matter_is_a_note(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli("search", *at_url(site), ALL_PROXY="socks5://me:secret7@127.0.0.1:1080")

    assert 0 == ended.code
    assert "note: ALL_PROXY: expected an http proxy, found a socks5 one; " in ended.err
    assert "it does not matter for 127.0.0.1, which is reached without a proxy\n" in ended.err
    assert "secret7" not in ended.err


async def test_a_malformed_proxy_is_refused_in_one_line(run_cli: CommandHere) -> None:
    words = ("search", *COLLECTION, "--base-url", "http://collgs.invalid/search")

    ended = await run_cli(*words, ALL_PROXY="http://me:secret7@:3128")

    line = "error: ALL_PROXY: expected an http proxy such as http://proxy:3128, found no host and port\n"
    assert (2, line) == (ended.code, ended.err)


# ------------------------------------------------------------------------------------------- names for completion


async def test_the_names_of_collections_are_kept_for_completion(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2))
    words = ("collections", "--base-url", site.server.url)
    at_home = tmp_path / "home" / ".cache" / "collgs-async" / "collections"
    elsewhere = tmp_path / "cache" / "collgs-async" / "collections"

    by_cache = await run_cli(*words, XDG_CACHE_HOME=str(tmp_path / "cache"))
    by_home = await run_cli(*words, "--format", "json", XDG_CACHE_HOME="relative", HOME=str(tmp_path / "home"))

    assert (0, 0) == (by_cache.code, by_home.code)
    assert "S1_SAR_GRD\nS2_MSIL1C\nS2_MSIL2A\n" == elsewhere.read_text() == at_home.read_text()
    assert [] == files_below(run_cli.folder)


async def test_a_cache_that_cannot_be_written_is_no_error(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2))
    (tmp_path / "file").touch()

    ended = await run_cli("collections", "--base-url", site.server.url, XDG_CACHE_HOME=str(tmp_path / "file"))

    assert 0 == ended.code
    assert "warning" not in ended.err


def test_a_name_that_a_shell_would_run_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    keep_names(["A_1", "$(reboot)", "a b", "`x`", "-rf", "B;ls", "B.2-x", "x" * 200, "C\nD"])

    assert "A_1\nB.2-x\n" == (tmp_path / "collgs-async" / "collections").read_text()


# ------------------------------------------------------------------------------------------------ login on a terminal


class Prompted:
    """The command `login` on a terminal of its own."""

    def __init__(self, url: str, folder: Path, **environ: str) -> None:
        self.line, theirs = pty.openpty()
        self.shown = ""
        words = [sys.executable, "-m", "collgs_async", "login", "--base-url", url]
        on_a_terminal = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
        clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        self._start = asyncio.create_subprocess_exec(
            *(sys.executable, "-c", on_a_terminal, str(theirs), *words),
            cwd=folder,
            env={**clean, "HOME": str(folder), "TERM": "dumb", **environ},
            pass_fds=[theirs],
        )
        self._theirs = theirs

    async def until(self, words: str) -> None:
        async with asyncio.timeout(HANGS):
            while words not in self.shown:
                data = await asyncio.to_thread(os.read, self.line, 4096)
                self.shown += data.decode()

    def type(self, text: str) -> None:
        os.write(self.line, text.encode())

    async def __aenter__(self) -> Prompted:
        self.process = await self._start
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        os.close(self.line)
        os.close(self._theirs)


async def test_login_asks_on_a_terminal_without_showing_the_password(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1), sign_in=SignIn("ada", "secret7"))

    async with Prompted(site.server.url, run_cli.folder) as login:
        await login.until("user name at 127.0.0.1: ")
        login.type("ada\n")
        await login.until("password of ada at 127.0.0.1: ")
        login.type("secret7\n")
        await login.until("signed in as ada at 127.0.0.1")
        await login.until("~/.netrc")
        assert 0 == await login.process.wait()

    assert "secret7" not in login.shown
    assert [] == files_below(run_cli.folder)


async def test_login_asks_only_for_what_is_not_set(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1), sign_in=SignIn("ada", "secret7"))

    async with Prompted(site.server.url, run_cli.folder, COLLGS_USERNAME="ada") as login:
        await login.until("password of ada at 127.0.0.1: ")
        login.type("wrong\n")
        await login.until("error: ")
        assert 1 == await login.process.wait()

    assert "user name" not in login.shown.partition("password of ada")[0]


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 1), ("\n", 1)], ids=["Ctrl-C", "Ctrl-D", "Enter"])
async def test_login_ends_where_nothing_is_given(
    serve: Callable[..., Any], run_cli: CommandHere, key: str, code: int
) -> None:
    site = await serve(level2_scenes(1), sign_in=SignIn("ada", "secret7"))

    async with Prompted(site.server.url, run_cli.folder) as login:
        await login.until("user name at 127.0.0.1: ")
        login.type(key)
        assert code == await login.process.wait()
        await login.until("\r\nerror: no user name was given; nothing was sent" if code == 1 else "^C\r\n")

    assert "Traceback" not in login.shown


async def test_login_asks_nothing_without_a_terminal(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1), sign_in=SignIn("ada", "secret7"))

    ended = assert_clean_exit(await run_cli("login", "--base-url", site.server.url, HOME=str(run_cli.folder)))

    assert 1 == ended.code
    assert "there are no credentials" in ended.err
    assert "user name at" not in ended.err + ended.out


async def test_login_asks_nothing_where_no_sign_in_is_needed(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    async with Prompted(site.server.url, run_cli.folder) as login:
        await login.until("the store serves archives without a sign-in")
        assert 0 == await login.process.wait()

    assert "user name" not in login.shown
