"""Links go out as they were given, byte by byte: in hrefs, along redirects, and beside search parameters."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Client
from collgs_async.http.links import exact_url, join_link, with_parameters
from collgs_async.selection.plan import Plan
from tests.support.servers import RIGHT, plain, raw_server, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import RecordedSleeps
    from tests.support.servers import Asked, RawServer

SIGNED = [
    "/x%27y(z)%28.zip?Signature=ab%2BcD%3D%3D&d=attachment%3B%20filename%3D%22a.zip%22&cred=A%2F2025%2Fs3",
    "/x%7E~!*'().zip?sig=%7Eabc%2f%40%21%2A%3A%2C%3B",
    "/a%2Fb%2fc.zip?e=%3a",
    "/a+b%20c.zip?s=%61bc+d",
    '/a.zip?sig=a;b&c=d%7Ce|f&g=[1]{2}"<>^`\\',
    "/a.zip?",
    "/a.zip?&&x=&x=1&x=1&=",
    "/a.zip?x=?y/../z",
    "/a/./b/../c//d.zip?p=%2e%2e",
    "//a.zip",
    "/%E4%zz%.zip",
    "/@:a.zip?u=http://b/c?d",
]
"""Request targets that HTTP can carry as they stand here."""


class Recorder:
    """A store that redirects along a row of links, and hands the archive out only at its end."""

    def __init__(self, *hops: str) -> None:
        self.hops = hops

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        at = self.hops.index(asked.path) if asked.path in self.hops else -1
        if at < 0:
            yield plain(b"SignatureDoesNotMatch", "403 Forbidden")
        elif at + 1 < len(self.hops):
            yield b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n" + (
                b"Location: " + self.hops[at + 1].encode("latin-1") + b"\r\n\r\n"
            )
        else:
            yield plain(RIGHT)


@asynccontextmanager
async def store_of(*hops: str, certificate: Path | None = None) -> AsyncIterator[RawServer]:
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    async with raw_server([("A", hops[0])], Recorder(*hops), tls=tls) as server:
        yield server


@pytest.mark.parametrize("target", SIGNED)
async def test_links_are_asked_as_the_catalogue_gives_them(tmp_path: Path, sleeps: RecordedSleeps, target: str) -> None:
    """Absolute and relative to the host alike, and named alike in the report."""
    async with store_of(target) as server:
        server.offer(
            [("A", f"{server.origin}{target}#fragment"), ("B", target)]
            if target[:2] != "//"
            else [("A", f"{server.origin}{target}")]
        )
        async with Client(settings_for(server, tmp_path, timeout=60), sleep=sleeps) as client:
            found = [product async for product in client.catalogue.search()]
            report = await client.download_all()

        assert {target} == {asked.path for asked in server.archive_requests}
    assert (len(found), 0) == (report.downloaded, report.failed)
    assert {f"{server.origin}{target}"} == {product.url for product in found}


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_links_are_asked_as_redirects_give_them(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, length: int, *, secure: bool
) -> None:
    for number in range(0, len(SIGNED), length):
        hops = [target for target in SIGNED[number : number + length] if target[:2] != "//"]
        if not hops:
            continue
        folder = tmp_path / str(number)
        async with store_of("/first", *hops, certificate=certificate if secure else None) as server:
            config = settings_for(server, folder, timeout=60, **({"ca_file": certificate} if secure else {}))
            async with Client(config, sleep=sleeps) as client:
                report = await client.download_all()

            assert ["/first", *hops] == [asked.path for asked in server.archive_requests]
        assert 1 == report.downloaded


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("/caf\xe9 b\t.zip?x=\xff", "/caf%E9%20b%09.zip?x=%FF"),
        ("/caf\xc3\xa9.zip", "/caf%C3%A9.zip"),
        ("?y=%2F", "/first?y=%2F"),
        ("other%2F.zip", "/other%2F.zip"),
        ("./../up.zip", "/up.zip"),
    ],
)
async def test_only_what_http_cannot_carry_is_encoded(
    tmp_path: Path, sleeps: RecordedSleeps, given: str, asked: str
) -> None:
    async def store(request: Asked) -> AsyncIterator[bytes]:
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: "
        yield head + given.encode("latin-1") + b"\r\n\r\n" if request.path == "/first" else plain(RIGHT)

    async with (
        raw_server([("A", "/first")], store) as server,
        Client(settings_for(server, tmp_path), sleep=sleeps) as client,
    ):
        await client.download_all()

        assert ["/first", asked] == [one.path for one in server.archive_requests]


async def test_plans_and_sidecars_keep_links(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    target = SIGNED[0]
    async with store_of(target) as server:
        async with Client(settings_for(server, tmp_path / "archives"), sleep=sleeps) as client:
            plan = await client.create_plan()
            plan.write(tmp_path / "plan.json")
            report = await client.download_plan(Plan.read(tmp_path / "plan.json"))

        assert [target] == [asked.path for asked in server.archive_requests]
    assert 1 == report.downloaded


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=40))
def test_any_target_stays_as_it_is(text: str) -> None:
    target = f"/{text}"
    link = f"http://host.example{target}"

    assert target == exact_url(link).raw_path_qs
    assert link == str(exact_url(link)) == str(exact_url(str(exact_url(link))))
    assert link == str(join_link("http://else.example/x", link))


AUTHORITIES = st.lists(
    st.sampled_from(
        ["xn--", "xn--a", "a", ".", "[", "]", "::1", "@", ":", ":80", " ", "\u0130", "\u2100", "\ud800", "%"]
    )
).map("".join)


@given(st.one_of(st.text(max_size=40), AUTHORITIES.map("//{}/x".format), AUTHORITIES.map("ftp://{}".format)))
def test_any_text_is_a_link_or_is_refused(text: str) -> None:
    try:
        url = join_link("http://host.example/a/b?c", text)
    except ValueError:
        return
    if url.scheme in {"http", "https"} and url.host:
        assert url.raw_path_qs.isascii()
        assert not set(url.raw_path_qs) & set(map(chr, range(0x21)))
        assert not url.raw_user


# RFC 3986 §5.4; what leaves the last two as they are is that their paths are absolute.
@pytest.mark.parametrize(
    ("reference", "result"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../../../g", "http://a/g"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("http:g", "http://a/b/c/g"),
        ("http://A.Example:80/x", "http://a.example/x"),
        ("https://user:word@h/x", "https://h/x"),
        ("/./g", "http://a/./g"),
        ("/../g", "http://a/../g"),
    ],
)
def test_references_are_resolved(reference: str, result: str) -> None:
    assert result == str(join_link("http://a/b/c/d;p?q", reference))


@pytest.mark.parametrize(
    "link",
    [
        "https:/x",
        "http://[::1/",
        "http://a\\@b/",
        "http://a:b/",
        "http://h:99999/",
        "http://xn--a/x",
        "http://xn--/",
        "//a.xn--0.lu/x",
        "http://a..b/",
        f"http://{'a' * 64}.lu/",
        "http://b[]@",
        "http://[::1 \u0130]/",
    ],
)
def test_what_has_no_host_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        join_link("http://a/b", link)


def test_a_host_in_punycode_is_kept() -> None:
    url = join_link("http://a/b", "http://xn--strae-oqa.example/x")

    assert ("http://xn--strae-oqa.example/x", "stra\xdfe.example") == (str(url), url.host)


def test_parameters_stand_beside_what_a_link_has() -> None:
    assert "http://h/%2F?a=%2F&c=1" == str(with_parameters("http://h/%2F?a=%2F&c=5&c", {"c": "1"}))
    assert "http://h/?c=a+b%26" == str(with_parameters("http://h", {"c": "a b&"}))
    assert "http://h/?" == str(with_parameters("http://h/?", {}))
