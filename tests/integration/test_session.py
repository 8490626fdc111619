"""The HTTP session and its manners, against small servers on the loopback."""

from __future__ import annotations

import asyncio
import random
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import AsyncRetrying, Future, RetryCallState
from yarl import URL

from collgs_async.config.settings import Connection
from collgs_async.errors import ConfigError, TransferError
from collgs_async.http.body_reading import read_at_most
from collgs_async.http.network_errors import NETWORK_ERRORS, describe_error
from collgs_async.http.proxies import Proxies
from collgs_async.http.retry import RetryPolicy, parse_retry_after, retry_call
from collgs_async.http.session import HttpSession
from tests.support.servers import UNUSED_ORIGIN, accepting, listening

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import RecordedSleeps


class Recording:
    """A server's answers by path, and the requests that it saw."""

    def __init__(self, answers: Mapping[str, tuple[int, dict[str, str]]] | None = None) -> None:
        self.seen: list[web.BaseRequest] = []
        self._answers = answers or {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        status, headers = self._answers.get(request.path, (200, {}))
        return web.Response(status=status, headers=headers, text=request.path)


async def get(url: str, *, settings: Connection | None = None, **options: Any) -> tuple[int, bytes]:
    async with HttpSession(settings or Connection(timeout=60)) as session, session.get(url, **options) as response:
        return response.status, await response.read()


async def failure(url: str, **settings: Any) -> str:
    with pytest.raises(NETWORK_ERRORS) as caught:
        await get(url, settings=Connection(**{"timeout": 5, **settings}))
    return describe_error(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_followed_with_its_headers(status: int) -> None:
    server = Recording({"/from/here": (status, {"Location": "../to?x=1"})})
    async with listening(server) as origin:
        assert (200, b"/to") == await get(f"{origin}/from/here", headers={"Range": "bytes=7-"})

    assert ["bytes=7-", "bytes=7-"] == [request.headers["Range"] for request in server.seen]
    assert "/to?x=1" == server.seen[1].path_qs


async def test_redirect_to_another_host_is_followed_without_the_first_ones_cookies() -> None:
    other = Recording()
    async with listening(other) as there:
        elsewhere = there.replace("127.0.0.1", "localhost")
        first = Recording({"/": (302, {"Location": elsewhere, "Set-Cookie": "session=secret; Path=/"})})
        async with listening(first) as here:
            assert (200, b"/") == await get(here)

    assert 1 == len(other.seen)
    assert "Cookie" not in other.seen[0].headers
    assert "Authorization" not in other.seen[0].headers
    assert "Referer" not in other.seen[0].headers


async def test_cookie_goes_back_to_the_host_that_gave_it_as_it_was() -> None:
    server = Recording({"/": (302, {"Location": "/next", "Set-Cookie": "session=a/b=c; Path=/"})})
    async with listening(server) as origin:
        await get(origin)

    assert "session=a/b=c" == server.seen[1].headers["Cookie"]


async def test_netrc_is_never_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = Recording()
    async with listening(server) as origin:
        await get(origin)

    assert "Authorization" not in server.seen[0].headers


async def test_endless_redirects_end() -> None:
    server = Recording({"/": (302, {"Location": "/"})})
    async with listening(server) as origin:
        assert "more than 10 redirects, the last one to 127.0.0.1" == await failure(origin)

    assert 11 == len(server.seen)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ({"Location": "file:///etc/passwd"}, "redirect to file:, which is not followed"),
        ({"Location": "ftp://host/a.zip"}, "redirect to ftp:, which is not followed"),
        ({"Location": "data:,x"}, "redirect to data:, which is not followed"),
        ({"Location": "http://[::1"}, "redirect to something that is no URL"),
        ({"Location": "http://host:99999/"}, "redirect to something that is no URL"),
        ({}, "HTTP 302 without a Location"),
    ],
)
async def test_redirect_to_where_we_do_not_go_is_refused(location: dict[str, str], words: str) -> None:
    async with listening(Recording({"/": (302, location)})) as origin:
        assert (await failure(origin)).startswith(words)


async def test_user_agent_is_ours_and_archives_come_uncompressed() -> None:
    server = Recording()
    async with listening(server) as origin:
        await get(origin, settings=Connection(user_agent="forest-watch/2"))
        await get(origin, decompress=True)

    archive, page = server.seen
    assert ("forest-watch/2", "identity") == (archive.headers["User-Agent"], archive.headers["Accept-Encoding"])
    assert "gzip, deflate" == page.headers["Accept-Encoding"]


async def test_parameters_are_escaped_and_join_those_of_the_url() -> None:
    server = Recording()
    async with listening(server) as origin:
        await get(f"{origin}/search?key=1", params={"cloudCover": "[0,20]", "name": "a+b &c"})

    assert "/search?key=1&cloudCover=%5B0,20%5D&name=a%2Bb+%26c" == server.seen[0].path_qs


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "http://store/", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://store/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://store/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://store/", None),
        ({"HTTPS_PROXY": "http://p:2"}, "https://store/", "http://p:2"),
        ({"http_proxy": "http://p:1", "NO_PROXY": "other,store"}, "http://store/", None),
        ({"http_proxy": "http://p:1", "no_proxy": ".lu"}, "http://data.collgs.lu/", None),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "http://store/", None),
        ({"http_proxy": "http://p:1", "no_proxy": "store"}, "http://restore.lu/", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://store/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://127.0.0.1:8000/", None),
        ({"http_proxy": "http://p:1"}, "http://[::1]:8000/", None),
        ({"http_proxy": "http://p:1"}, "http://localhost:8000/", None),
        ({"ftp_proxy": "ftp://p:1"}, "http://store/", None),
        ({"ALL_PROXY": "http://p:1"}, "http://store/", "http://p:1"),
        ({"all_proxy": "p:1"}, "https://store/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2"}, "https://store/", "http://p:2"),
        ({"ALL_PROXY": "socks5://p:1", "HTTPS_PROXY": "http://p:2"}, "https://store/", "http://p:2"),
        ({"ALL_PROXY": "socks5://p:1"}, "http://127.0.0.1:8000/", None),
        ({"ALL_PROXY": "socks5://p:1", "NO_PROXY": "store"}, "https://store/", None),
        ({"ALL_PROXY": ""}, "https://store/", None),
    ],
)
def test_proxy_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert proxy == Proxies(None).proxy_for(URL(url))


def test_configured_proxy_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", "*")

    assert "http://mine:3" == Proxies("http://mine:3").proxy_for(URL("http://store/"))


@pytest.mark.parametrize("proxy", ["socks5://me:secret@p:1", "ftp://p:1"])
def test_proxy_of_another_kind_is_a_wrong_setting_and_its_password_is_not_said(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ConfigError, match=r"https_proxy: expected an http proxy, found a (socks5|ftp) one") as caught:
        Proxies(None).proxy_for(URL("https://store/"))
    assert "secret" not in str(caught.value)


def test_proxy_of_the_environment_does_not_matter_beside_a_configured_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://p:1")

    assert "http://mine:3" == Proxies("http://mine:3").proxy_for(URL("https://store/"))


@pytest.mark.parametrize("how", ["configuration", "environment", "environment without a scheme"])
async def test_proxy_is_really_used(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The host does not exist, so only the proxy can have answered; curl too reads host:port as http."""
    proxy = Recording()
    async with listening(proxy) as origin:
        if how != "configuration":
            monkeypatch.setenv("http_proxy", origin.removeprefix("http://") if "without" in how else origin)
        settings = Connection(proxy=origin if how == "configuration" else None)
        await get("http://store.invalid/a.zip", settings=settings)

    assert "store.invalid" == proxy.seen[0].headers["Host"]


async def test_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=407)

    async with listening(refuse) as origin:
        monkeypatch.setenv("https_proxy", origin)
        words = await failure("https://store.invalid/a.zip")

    assert "proxy" in words.lower()
    assert "not HTTP" not in words


async def test_ca_file_that_holds_no_certificates_is_a_wrong_setting(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nothing of the kind")

    with pytest.raises(ConfigError, match=r"connection\.ca_file: expected certificates in PEM format, found .*ca\.pem"):
        async with HttpSession(Connection(ca_file=wrong)):
            pass


async def test_a_refused_connection_names_the_address() -> None:
    assert "no connection to 127.0.0.1:9 (Connection refused)" == await failure(UNUSED_ORIGIN)


def test_unknown_host_is_named() -> None:
    key = ConnectionKey("nowhere.invalid", 80, False, True, None, None, None)

    assert "the host nowhere.invalid is not known" == describe_error(aiohttp.ClientConnectorDNSError(key, OSError()))


async def test_certificate_of_ones_own_is_trusted_by_ca_file_only(certificate: Path) -> None:
    async with listening(Recording(), certificate) as origin:
        assert (200, b"/") == await get(origin, settings=Connection(ca_file=certificate))
        assert (await failure(origin)).startswith("its certificate is not trusted")


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_a_proxy_over_tls_is_trusted_by_ca_file_also_on_the_way_to_http(certificate: Path, scheme: str) -> None:
    async with listening(Recording(), certificate) as origin:
        through = Connection(timeout=60, proxy=origin.replace("https", scheme), ca_file=certificate)

        assert 200 == (await get("http://store.invalid/", settings=through))[0]


async def test_redirect_from_https_to_http_is_refused(certificate: Path) -> None:
    server = Recording({"/": (302, {"Location": "http://127.0.0.1:9/"})})
    async with listening(server, certificate) as origin:
        words = await failure(origin, ca_file=certificate)

    assert "redirect from https to http (127.0.0.1), which is not followed" == words


async def test_silence_is_a_time_out() -> None:
    async def keep_waiting(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async with listening(keep_waiting) as origin:
        assert "no byte within the time-out" == await failure(origin, timeout=0.2)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "the server closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the server closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "the connection broke in the middle"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "an answer that is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 120_000 + b"\r\n\r\n", "an answer that is not HTTP"),
    ],
)
async def test_each_way_to_break_has_its_words(sent: bytes, words: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with accepting(speak) as (_, port):
        assert (await failure(f"http://127.0.0.1:{port}/")).startswith(words)


def test_any_other_error_is_told_by_its_text_or_its_name() -> None:
    assert "odd" == describe_error(aiohttp.ClientError("odd"))
    assert "ClientError" == describe_error(aiohttp.ClientError())
    assert "the connection broke (Connection reset by peer)" == describe_error(ConnectionResetError(104, "x"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 120 ", 120), ("", None), ("-1", None), ("soon", None), ("1.5", 1.5), ("²", None)],
)
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    assert seconds == parse_retry_after({"Retry-After": text})


def test_retry_after_as_a_date() -> None:
    assert 99 <= (parse_retry_after({"Retry-After": formatdate(time.time() + 101, usegmt=True)}) or 0) <= 101
    assert 0 == parse_retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert parse_retry_after({}) is None


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=40) | st.from_regex(r"[A-Z]\w\w, \d+ Sep \d+ \d+:\d+:\d+ [+-]\d+"))
def test_any_retry_after_is_seconds_or_none(text: str) -> None:
    seconds = parse_retry_after({"Retry-After": text})

    assert seconds is None or seconds >= 0


async def test_body_is_read_no_further_than_asked() -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * 100)

    async with listening(answer) as origin, HttpSession(Connection()) as session:
        async with session.get(origin) as response:
            assert (b"x" * 10, False) == await read_at_most(response, 10)
        async with session.get(origin) as response:
            assert (b"x" * 100, True) == await read_at_most(response, 100)


class Line:
    """Fails with each of these errors in turn, then succeeds; says before each failure whether it brought something."""

    def __init__(self, retry: RetryPolicy, failures: list[tuple[bool, Exception]]) -> None:
        self.calls = 0
        self._retry = retry
        self._failures = iter(failures)

    async def __call__(self) -> int:
        self.calls += 1
        for fruitful, error in self._failures:
            if fruitful:
                self._retry.record_progress()
            raise error
        return self.calls


async def attempt(tries: int, sleeps: RecordedSleeps, failures: list[tuple[bool, Exception]]) -> int:
    retry = RetryPolicy(tries)
    line = Line(retry, failures)
    return await retry_call(line, retry, worth_it=lambda error: isinstance(error, TransferError), sleep=sleeps)


FRUITLESS, FRUITFUL = (False, TransferError("cut")), (True, TransferError("cut"))


@pytest.mark.parametrize(("tries", "calls"), [(0, 1), (1, 1), (3, 3)])
async def test_fruitless_tries_are_counted(sleeps: RecordedSleeps, tries: int, calls: int) -> None:
    with pytest.raises(TransferError, match="cut"):
        await attempt(tries, sleeps, [FRUITLESS] * 10)

    assert calls - 1 == len(sleeps.seconds)


async def test_fruitful_try_starts_the_count_again(sleeps: RecordedSleeps) -> None:
    assert 22 == await attempt(2, sleeps, [FRUITLESS, FRUITFUL, FRUITFUL] * 7)


async def test_what_is_not_worth_it_passes_at_once(sleeps: RecordedSleeps) -> None:
    with pytest.raises(ValueError, match="odd"):
        await attempt(9, sleeps, [(False, ValueError("odd"))])

    assert [] == sleeps.seconds


async def test_waits_grow_and_stay_under_a_minute(sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)

    await attempt(20, sleeps, [FRUITFUL, *[FRUITLESS] * 8])

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == sleeps.seconds


async def test_waits_are_random_from_nothing_on(sleeps: RecordedSleeps) -> None:
    await attempt(200, sleeps, [FRUITLESS] * 100)

    assert max(sleeps.seconds) > 30
    assert min(sleeps.seconds[10:]) < 15
    assert len(set(sleeps.seconds)) > 90


async def test_wait_is_what_the_server_asked_for_and_a_little_more(sleeps: RecordedSleeps) -> None:
    asked = [0.0, 5.0, 600.0]
    await attempt(9, sleeps, [(False, TransferError("busy", retry_after=seconds)) for seconds in asked])

    for seconds, pause in zip(asked, sleeps.seconds, strict=True):
        assert seconds <= pause <= seconds + min(1, seconds / 10)


def test_retry_policy_waits_without_knowing_a_failure() -> None:
    state = RetryCallState(retry_object=AsyncRetrying(), fn=None, args=(), kwargs={})
    state.outcome = Future.construct(1, 7, has_exception=False)

    assert 0 <= RetryPolicy(3).wait(state) <= 1
