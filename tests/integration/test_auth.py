"""The sign-in: once for all workers, never twice with a refused password, and no secret leaves."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from yarl import URL

from collgs_async.config.settings import Connection
from collgs_async.demo.login import SignIn
from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer
from collgs_async.errors import AuthenticationError, ConfigError, TransferError
from collgs_async.http.auth import Authenticator, Identity
from collgs_async.http.credentials import Credentials, find_credentials
from collgs_async.http.login_page import is_login_page
from collgs_async.http.requester import StoreRequester
from collgs_async.http.session import HttpSession, Session
from collgs_async.models.timing import Timing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NAME, PASSWORD = "ada", "s3cret/+=pass&word"
RIGHT = Credentials(NAME, PASSWORD)
SCENES = make_scenes(50, size=2_000)


@dataclass
class Run:
    """Workers that fetch, as the engine will: look at the answer, sign in when it is a form, ask again."""

    session: HttpSession
    authenticator: Authenticator
    origin: str

    async def fetch(self, path: str) -> int:
        visit = self.authenticator.begin_attempt()
        while True:
            async with self.session.get(f"{self.origin}/{path}", beginning=visit.on_request) as response:
                body = await response.read()
            if not is_login_page(body):
                return response.status if body[:2] == b"PK" else -response.status
            await visit.sign_in(f"{self.origin}/{path}")

    async def fetch_all(self, paths: list[str], workers: int = 8) -> list[Any]:
        waiting, results = iter(paths), []

        async def work() -> None:
            results.extend([await self.fetch(path) for path in waiting])

        failures = await asyncio.gather(*(work() for _ in range(workers)), return_exceptions=True)
        return results + [failure for failure in failures if failure is not None]


@asynccontextmanager
async def running(
    origin: str,
    credentials: Credentials | None = RIGHT,
    auth_hosts: tuple[str, ...] = (),
    host: str = "127.0.0.1",
) -> AsyncIterator[Run]:
    async with HttpSession(Connection(timeout=60)) as session:
        authenticator = Authenticator(session, host, lambda: credentials, auth_hosts=auth_hosts)
        yield Run(session, authenticator, origin)


@asynccontextmanager
async def store(folder: Path, **rules: Any) -> AsyncIterator[DemoServer]:
    sign_in = SignIn(NAME, PASSWORD, **rules)
    async with DemoServer(SCENES, folder / "store", sign_in=sign_in) as server:
        yield server


def posts(server: DemoServer) -> list[tuple[str, ...]]:
    return [hit.posted for hit in server.requests if hit.method == "POST"]


def locations(count: int) -> list[str]:
    return [scene.location for scene in SCENES[:count]]


def jar(run: Run) -> Any:
    assert run.session._session is not None
    return run.session._session.cookie_jar


class TestOneSignInForAll:
    @pytest.mark.parametrize("form", ["html", "script"])
    @pytest.mark.parametrize("host", [None, "localhost"])
    @pytest.mark.parametrize("chunked", [False, True])
    async def test_fifty_requests_of_eight_workers_cost_one(
        self, tmp_path: Path, form: str, host: str | None, chunked: bool
    ) -> None:
        async with (
            store(tmp_path, form=form, host=host, chunked=chunked) as server,
            running(server.origin, auth_hosts=("localhost",)) as run,
        ):
            assert [200] * 50 == await run.fetch_all(locations(50))
            assert [("credentialId", "username", "password")] == posts(server)
            assert 1 == run.authenticator.generation

    async def test_a_session_that_ends_in_the_middle_costs_one_more(self, tmp_path: Path) -> None:
        async with store(tmp_path, session_requests=30, chunked=True) as server, running(server.origin) as run:
            assert [200] * 50 == await run.fetch_all(locations(50))
            assert 2 == len(posts(server))

    async def test_a_request_from_before_a_sign_in_gets_its_cookies_back_without_another(self, tmp_path: Path) -> None:
        async with store(tmp_path) as server, running(server.origin) as run:
            early = run.authenticator.begin_attempt()
            assert 200 == await run.fetch(SCENES[0].location)
            jar(run).clear()  # as an answer that comes late would
            await early.sign_in(f"{server.origin}/{SCENES[1].location}")
            assert 200 == await run.fetch(SCENES[1].location)
            assert 1 == len(posts(server))

    @pytest.mark.parametrize("host", [None, "localhost"])
    async def test_a_request_that_went_out_with_a_cookie_from_before_a_sign_in_costs_no_other(
        self, tmp_path: Path, host: str | None
    ) -> None:
        async with (
            store(tmp_path, host=host) as server,
            running(server.origin, auth_hosts=("localhost",)) as run,
        ):
            assert 200 == await run.fetch(SCENES[0].location)
            site = URL(server.origin).with_host(host or "127.0.0.1")
            jar(run).update_cookies({"session": "old"}, site)  # as an answer that comes late does
            assert 200 == await run.fetch(SCENES[1].location)
            assert 1 == len(posts(server))

    async def test_a_small_request_puts_replaced_cookies_back_without_another_sign_in(self, tmp_path: Path) -> None:
        async with store(tmp_path) as server, running(server.origin) as run:
            requester = StoreRequester(Session(run.session, run.authenticator, retries=1, timing=Timing()), workers=1)
            first, second = (f"{server.origin}/{location}" for location in locations(2))
            assert 200 == (await requester.request(first, limit=1000)).status
            jar(run).update_cookies({"session": "old"}, URL(server.origin))
            answer = await requester.request(second, limit=1000)
            assert (200, b"PK", False) == (answer.status, answer.body[:2], answer.whole)
            assert 1 == len(posts(server))

    async def test_a_new_session_in_one_piece_is_not_mixed_with_an_old_second_piece(self, tmp_path: Path) -> None:
        async with store(tmp_path) as server, running(server.origin) as run:
            jar(run).update_cookies({"session_2": "old"}, URL(server.origin))
            assert 200 == await run.fetch(SCENES[0].location)
            assert 1 == len(posts(server))

    async def test_the_archive_is_not_fetched_to_see_whether_it_worked(self, tmp_path: Path) -> None:
        async with (
            store(tmp_path, host="localhost") as server,
            running(server.origin, auth_hosts=("localhost",)) as run,
        ):
            await run.authenticator.sign_in(f"{server.origin}/{SCENES[0].location}", seen=0)
            assert 2_000 > sum(hit.sent for hit in server.requests if hit.path.startswith("/repository/"))
            assert {0, 1} == {hit.sent for hit in server.requests if hit.path.startswith("/repository/")}


class TestWho:
    async def test_says_the_name_and_the_host_that_accepted_it(self, tmp_path: Path) -> None:
        async with store(tmp_path) as server, running(server.origin) as run:
            found = await run.authenticator.authenticate(f"{server.origin}/{SCENES[0].location}")
        assert Identity(NAME, "127.0.0.1") == found
        assert "signed in as ada at 127.0.0.1" == str(found)

    async def test_is_none_if_the_store_asks_for_no_sign_in(self, tmp_path: Path) -> None:
        async with DemoServer(SCENES, tmp_path) as server, running(server.origin, credentials=None) as run:
            assert await run.authenticator.authenticate(f"{server.origin}/{SCENES[0].location}") is None


class TestRefusals:
    @pytest.mark.parametrize("form", ["html", "script"])
    async def test_a_wrong_password_is_posted_once_in_the_whole_run(self, tmp_path: Path, form: str) -> None:
        wrong = Credentials(NAME, "wrong")
        async with store(tmp_path, form=form) as server, running(server.origin, wrong) as run:
            first = await run.fetch_all(locations(50))
            second = await run.fetch_all(locations(1), workers=1)
            with pytest.raises(AuthenticationError, match="refused"):
                await run.authenticator.authenticate(f"{server.origin}/{SCENES[0].location}")
            assert 1 == len(posts(server))
        said = "the password for ada was refused: Invalid username or password.; "
        said += "it is not tried again, because accounts get locked"
        assert [said] * 9 == [str(error) for error in first + second]
        assert {AuthenticationError} == {type(error) for error in first + second}

    async def test_a_locked_account_is_told_in_the_servers_words(self, tmp_path: Path) -> None:
        async with store(tmp_path, locked_after=0) as server, running(server.origin) as run:
            with pytest.raises(AuthenticationError, match="Account is temporarily disabled; contact"):
                await run.fetch(SCENES[0].location)

    async def test_without_credentials_one_line_says_what_to_set(self, tmp_path: Path) -> None:
        async with store(tmp_path) as server, running(server.origin, credentials=None) as run:
            with pytest.raises(AuthenticationError) as caught:
                await run.fetch(SCENES[0].location)
            assert [] == posts(server)
        assert (
            "the store asks for a sign-in at 127.0.0.1, and there are no credentials: set COLLGS_USERNAME and "
            "COLLGS_PASSWORD, or add `machine 127.0.0.1 login NAME password WORD` to ~/.netrc"
        ) == str(caught.value)

    async def test_another_host_gets_no_password_unless_it_is_named(self, tmp_path: Path) -> None:
        async with store(tmp_path, host="localhost") as server, running(server.origin) as run:
            with pytest.raises(AuthenticationError) as caught:
                await run.fetch(SCENES[0].location)
            assert [] == posts(server)
        assert (
            "the sign-in form would send the password to localhost, expected 127.0.0.1 or a host below it; nothing "
            "was sent; if you trust that host, name it in connection.auth_hosts"
        ) == str(caught.value)

    async def test_a_sign_in_that_does_not_stick_ends_after_two_rounds(self, tmp_path: Path) -> None:
        async with store(tmp_path, session_requests=0) as server, running(server.origin) as run:
            failures = await run.fetch_all(locations(8))
            assert 2 == len(posts(server))
        assert 8 == len(failures)
        said = "the store asks for a sign-in again, right after 2 that were accepted"
        assert {(AuthenticationError, said)} == {(type(error), str(error)) for error in failures}


@dataclass
class Odd:
    """A store whose sign-in behaves in a way of its own."""

    origin: str = ""
    posted: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0


def page(action: str = "/post", extra: str = "", title: str = "Sign in") -> str:
    return (
        f"<html><head><title>{title}</title></head><body>{extra}<form method='post' action='{action}'>"
        "<input name=username><input type=password name=password></form></body></html>"
    )


def html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


@asynccontextmanager
async def odd_store(
    form: str | Callable[[Odd], str], answer: Callable[[Odd], web.StreamResponse] | None = None
) -> AsyncIterator[Odd]:
    """Serve `form` in place of every page, and `answer` for what is posted."""
    odd = Odd()

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            odd.posted.append({name: str(value) for name, value in (await request.post()).items()})
            return answer(odd) if answer else html("<html>thanks</html>")
        odd.asked += 1
        return html(form if isinstance(form, str) else form(odd))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    odd.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield odd
    finally:
        await runner.cleanup()


def redirect(status: int, place: str) -> Callable[[Odd], web.StreamResponse]:
    return lambda _: web.Response(status=status, headers={"Location": place})


def until_posted(after: str) -> Callable[[Odd], str]:
    """Show the form until it was posted, then something else."""
    return lambda odd: after if odd.posted else page()


async def refusal(odd: Odd, *, host: str = "127.0.0.1", auth_hosts: tuple[str, ...] = ()) -> str:
    async with running(odd.origin, host=host, auth_hosts=auth_hosts) as run:
        with pytest.raises(AuthenticationError) as caught:
            await run.authenticator.authenticate(f"{odd.origin}/archive.zip")
    return str(caught.value)


class TestWherePasswordsGo:
    @pytest.mark.parametrize(
        "action",
        [
            "https://evilcollgs.lu/post",
            "https://collgs.lu.evil.com/post",
            "https://collgs.lu@evil.com/post",
            "https://evil.com:443/collgs.lu",
            "https://203.0.113.7/post",
            "https://[2001:db8::1]/post",
            "https://lu/post",
            "https://cоllgs.lu/post",  # a Cyrillic letter
            "https://sub.other.example/post",
            "//evil.com/post",
            "https://%65vil.com/post",
            "https://",
            "javascript:alert(1)",
        ],
    )
    async def test_no_stranger_gets_one(self, action: str) -> None:
        async with odd_store(page(action)) as odd:
            said = await refusal(odd, host="collgs.lu", auth_hosts=("other.example",))
        assert "expected collgs.lu or a host below it; nothing was sent" in said

    @pytest.mark.parametrize("action", ["https://xn--a/post", "https://a..b/post", "//xn--/post"])
    async def test_no_invalid_host_gets_one(self, action: str) -> None:
        async with odd_store(page(action)) as odd:
            assert "with a form that is not understood" in await refusal(odd)

    @pytest.mark.parametrize(
        "action",
        [
            "http://collgs.lu/post",
            "http://sso.collgs.lu:443/post",
            "http://other.example/post",
            "http://127.0.0.1.other/",
        ],
    )
    async def test_is_never_sent_over_http(self, action: str) -> None:
        async with odd_store(page(action)) as odd:
            said = await refusal(odd, host="collgs.lu", auth_hosts=("other.example", "127.0.0.1.other"))
        assert said.endswith("over http, expected https; nothing was sent")

    async def test_an_address_has_no_hosts_below_it(self) -> None:
        async with odd_store(page("https://evil.127.0.0.1/post")) as odd:
            assert "nothing was sent" in await refusal(odd)

    @pytest.mark.parametrize(
        ("host", "action"),
        [
            ("collgs.lu", "https://collgs.lu:1/post"),
            ("collgs.lu", "https://COLLGS.lu.:1/post"),
            ("CollGS.lu.", "https://sso.collgs.lu:1/post"),
            ("bücher.example", "https://sso.xn--bcher-kva.example:1/post"),
            ("xn--bcher-kva.example", "https://bücher.example:1/post"),
            ("collgs.lu", "https://other.example:1/post"),
        ],
    )
    def test_the_catalogues_own_hosts_are_trusted_however_they_are_written(self, host: str, action: str) -> None:
        from collgs_async.http.login_form import Form

        session = HttpSession(Connection())
        authenticator = Authenticator(session, host, lambda: RIGHT, auth_hosts=("OTHER.example.",))

        authenticator._require_trust(Form(URL(action)))

    @pytest.mark.parametrize("status", [307, 308])
    async def test_none_is_sent_on_along_a_redirect(self, status: int) -> None:
        async with odd_store(page(), redirect(status, "http://localhost:1/steal")) as odd:
            said = await refusal(odd)
            assert 1 == len(odd.posted)
        assert (
            f"127.0.0.1 asks for the password to be sent on to localhost (HTTP {status}), which is never done" == said
        )

    @pytest.mark.parametrize("status", [301, 302, 303])
    async def test_other_redirects_become_a_get(self, status: int) -> None:
        async with odd_store(until_posted("PK"), redirect(status, "/done")) as odd, running(odd.origin) as run:
            found = await run.authenticator.authenticate(f"{odd.origin}/archive.zip")
            assert (1, 2) == (len(odd.posted), odd.asked)
        assert Identity(NAME, "127.0.0.1") == found


class TestForms:
    async def post(self, form: str) -> dict[str, str]:
        async with odd_store(form, redirect(302, "/archive.zip")) as odd, running(odd.origin) as run:
            await run.authenticator.authenticate(f"{odd.origin}/archive.zip")
        assert 1 == len(odd.posted)
        return odd.posted[0]

    async def test_the_first_one_with_a_password_is_filled_in_with_its_own_names(self) -> None:
        search = "<form method='post' action='/search'><input name=q><input type=hidden name=s value=1></form>"
        form = (
            "<form METHOD='POST' action=''><input type=hidden name=before value='a&amp;b'><input name=login type=text>"
            "<input type=password name=word><input type=hidden name=after value=2></form>"
            "<form method=post action=/x><input type=password name=other></form>"
        )
        found = await self.post(f"<html>{search}{form}</html>")
        assert {"before": "a&b", "after": "2", "login": NAME, "word": PASSWORD} == found

    async def test_a_script_may_hold_the_address_with_escaped_slashes(self) -> None:
        found = await self.post(r'<html><script>x = {"loginAction": "\/post?a=1\u0026b=2"}</script></html>')
        assert {"credentialId": "", "username": NAME, "password": PASSWORD} == found

    async def test_one_that_would_put_the_password_into_the_address_is_not_used(self) -> None:
        async with odd_store(page().replace("method='post'", "method='get'")) as odd:
            assert (await refusal(odd)).endswith("with a form that is not understood")
            assert [] == odd.posted

    @pytest.mark.parametrize("junk", ["<![x[", "<![CDATA[", "<!DOCTYPE [<", "<form", "\0\0", "<a " * 5_000])
    async def test_junk_is_no_form(self, junk: str) -> None:
        async with odd_store(f'<html><script>"loginAction": 3</script><input type=password>{junk}') as odd:
            assert (await refusal(odd)).endswith("with a form that is not understood")


class TestOddEnds:
    async def test_a_page_after_the_password_is_left_to_a_person(self) -> None:
        after = "<html><title>Second factor</title></html>"
        async with odd_store(until_posted(after), redirect(302, "/otp")) as odd:
            said = await refusal(odd)
        assert "the sign-in of ada ended at 127.0.0.1 with HTTP 200: Second factor; try it in a browser" == said

    async def test_a_form_after_a_redirect_is_no_wrong_password_but_is_not_posted_again(self) -> None:
        async with odd_store(page(), redirect(302, "/again")) as odd:
            assert "try it in a browser" in await refusal(odd)
            assert 1 == len(odd.posted)

    async def test_redirects_in_circles_end(self) -> None:
        async def turn(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": "/round"})

        application = web.Application()
        application.router.add_get("/{path:.*}", turn)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            odd = Odd(f"http://127.0.0.1:{runner.addresses[0][1]}")
            assert "the sign-in has too many redirects: more than 10" == await refusal(odd)
        finally:
            await runner.cleanup()

    async def test_a_server_error_can_be_retried_and_waiting_calls_fail_with_the_first(self) -> None:
        def busy(odd: Odd) -> web.StreamResponse:
            if len(odd.posted) > 1:
                return web.Response(status=302, headers={"Location": "/archive.zip"})
            return web.Response(status=503, text="busy", headers={"Retry-After": "7"})

        async with odd_store(page(), busy) as odd, running(odd.origin) as run:
            url = f"{odd.origin}/archive.zip"
            tries = [run.authenticator.sign_in(url, seen=0) for _ in range(4)]
            failures = await asyncio.gather(*tries, return_exceptions=True)
            assert 1 == len(odd.posted)
            assert 1 == await run.authenticator.sign_in(url, seen=0)
        said = "the sign-in at 127.0.0.1 failed: HTTP 503: busy"
        assert [(said, 7.0)] * 4 == [(str(e), e.retry_after) for e in failures if isinstance(e, TransferError)]

    async def test_a_server_that_stays_in_trouble_is_not_sent_the_password_for_ever(self) -> None:
        async with odd_store(page(), lambda _: html("<title>away</title>", 502)) as odd, running(odd.origin) as run:
            for _ in range(5):
                with pytest.raises(TransferError):
                    await run.authenticator.sign_in(f"{odd.origin}/archive.zip", seen=0)
            with pytest.raises(AuthenticationError) as caught:
                await run.authenticator.sign_in(f"{odd.origin}/archive.zip", seen=0)
            assert 5 == len(odd.posted)
        said = "the sign-in at 127.0.0.1 failed: HTTP 502: away; it is not tried again after 5 failures in a row"
        assert said == str(caught.value)

    async def test_a_worker_that_is_cancelled_in_the_middle_leaves_the_turn_to_the_next(self, tmp_path: Path) -> None:
        looked, loop = asyncio.Event(), asyncio.get_running_loop()

        def look() -> Credentials:
            loop.call_soon_threadsafe(looked.set)
            return RIGHT

        async with store(tmp_path) as server, HttpSession(Connection(timeout=60)) as session:
            run = Run(session, Authenticator(session, "127.0.0.1", look), server.origin)
            first = asyncio.create_task(run.fetch(SCENES[0].location))
            await looked.wait()
            first.cancel()
            assert 200 == await run.fetch(SCENES[1].location)
            assert first.cancelled()


def rendered(error: BaseException) -> str:
    """Everything that a careless report could show of an error: its words, its chain, all locals of its frames."""
    deep = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = "".join(deep.format()) + repr(error) + str(error)
    return shown + "".join(rendered(e) for e in (error.__cause__, error.__context__) if e)


class TestSecrets:
    async def test_none_is_in_any_log_repr_or_traceback(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        asyncio.get_running_loop().set_debug(True)
        async with store(tmp_path, session_requests=5, chunked=True) as server, running(server.origin) as run:
            assert [200] * 8 == await run.fetch_all(locations(8), workers=4)
            steps = run.authenticator._cookies
            shown = [repr(steps), str(steps), repr(run.authenticator), repr(vars(run.authenticator)), repr(RIGHT)]
            secrets = {PASSWORD, *(m.value for step in steps for m in step.cookies.values())}
            secrets |= {value for hit in server.requests for value in hit.query.values() if "==" in value}
        assert 6 <= len(secrets)
        everything = "\n".join([*shown, *(f"{r.getMessage()} {r.__dict__}" for r in caplog.records)])
        assert "Credentials(username='ada')" in everything
        assert [] == [secret for secret in secrets if secret in everything]

    @pytest.mark.parametrize("trouble", ["refused", "echoed", "broken", "busy", "sent on"])
    async def test_none_is_in_what_an_error_can_show(self, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        code = "c0de/+=of=the=session"

        def answer(odd: Odd) -> web.StreamResponse:
            return {
                "refused": html(page(f"/post?session_code={code}")),
                "echoed": html(page(extra=f"<p id=input-error>{PASSWORD.replace('&', '&amp;')} is wrong</p>")),
                "broken": web.Response(status=302, headers={"Location": "http://127.0.0.1:1/?code=" + code}),
                "busy": html(f"<html><title>{PASSWORD}</title></html>", 503),
                "sent on": web.Response(status=307, headers={"Location": "/x?code=" + code}),
            }[trouble]

        async with odd_store(page(f"/post?session_code={code}"), answer) as odd, running(odd.origin) as run:
            with pytest.raises((AuthenticationError, TransferError)) as caught:
                await run.authenticator._sign_in(URL(f"{odd.origin}/archive.zip"))
            assert 1 == len(odd.posted)
        # The test's own frame knows the secrets; only those of the package are looked at.
        error = caught.value
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        everything = rendered(error) + "".join(record.getMessage() for record in caplog.records)
        assert "auth.py" in everything
        assert [] == [secret for secret in (PASSWORD, code) if secret in everything]


class TestFindingCredentials:
    def write(self, folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
        file = folder / "netrc"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        return file

    def check_secrets(self, error: BaseException) -> None:
        # The test's own frame knows the secret; only those of the package are looked at.
        assert error.__traceback__
        error.__traceback__ = error.__traceback__.tb_next
        assert "_from_netrc" in rendered(error)
        assert PASSWORD not in rendered(error)

    def test_variables_go_first(self, tmp_path: Path) -> None:
        file = self.write(tmp_path, "machine collgs.lu login other password word")
        environ = {"COLLGS_USERNAME": NAME, "COLLGS_PASSWORD": PASSWORD}
        assert RIGHT == find_credentials(environ, "collgs.lu", netrc_file=file)

    @pytest.mark.parametrize(
        ("missing", "other"), [("COLLGS_USERNAME", "COLLGS_PASSWORD"), ("COLLGS_PASSWORD", "COLLGS_USERNAME")]
    )
    def test_one_variable_alone_is_an_error_that_names_the_other(self, missing: str, other: str) -> None:
        with pytest.raises(ConfigError) as caught:
            find_credentials({other: PASSWORD, missing: ""}, "collgs.lu")
        assert f"{missing}: expected to be set, as {other} is; found nothing" == str(caught.value)

    def test_the_file_is_searched_for_the_host_and_for_no_default(self, tmp_path: Path) -> None:
        file = self.write(
            tmp_path, f"machine collgs.lu\n login {NAME}\n password {PASSWORD}\ndefault login x password y"
        )
        assert RIGHT == find_credentials({}, "collgs.lu", netrc_file=file)
        assert find_credentials({}, "sso.collgs.lu", netrc_file=file) is None

    @pytest.mark.parametrize("where", ["NETRC", "HOME"])
    def test_the_file_is_the_one_that_is_named_or_at_home(self, tmp_path: Path, where: str) -> None:
        file = self.write(tmp_path, f"machine collgs.lu login {NAME} password {PASSWORD}")
        file.rename(tmp_path / ".netrc")
        environ = {"NETRC": str(tmp_path / ".netrc")} if where == "NETRC" else {"HOME": str(tmp_path)}
        assert RIGHT == find_credentials(environ, "collgs.lu")

    def test_without_a_file_there_are_none(self, tmp_path: Path) -> None:
        assert find_credentials({"HOME": str(tmp_path)}, "collgs.lu") is None
        assert find_credentials({}, "collgs.lu") is None

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_a_file_that_others_can_read_is_refused(self, tmp_path: Path, mode: int) -> None:
        file = self.write(tmp_path, f"machine collgs.lu login {NAME} password {PASSWORD}", mode)
        with pytest.raises(ConfigError) as caught:
            find_credentials({}, "collgs.lu", netrc_file=file)
        expected = f"{file}: expected a file of yours that only you can read (chmod 600), found mode {mode:04o}"
        assert expected == str(caught.value)
        self.check_secrets(caught.value)
        assert find_credentials({}, "another.host", netrc_file=file) is None

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                f"machine collgs.lu login {NAME} password a {PASSWORD}",
                "expected a netrc file, found something else at line 1",
            ),
            (b"machine collgs.lu login \xff\xfe", "expected UTF-8 text, found another encoding"),
            (f"machine collgs.lu login {NAME}", "expected login and password for machine collgs.lu, found no password"),
            (
                f"machine collgs.lu password {PASSWORD}",
                "expected login and password for machine collgs.lu, found no login",
            ),
        ],
    )
    def test_a_broken_file_is_told_without_its_secrets(self, tmp_path: Path, text: str | bytes, said: str) -> None:
        file = self.write(tmp_path, text)
        with pytest.raises(ConfigError) as caught:
            find_credentials({}, "collgs.lu", netrc_file=file)
        assert f"{file}: {said}" == str(caught.value)
        self.check_secrets(caught.value)

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
            find_credentials({}, "collgs.lu", netrc_file=tmp_path)
