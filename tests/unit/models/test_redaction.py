"""What a server repeats of a password, in whatever spelling, is shown nowhere."""

from __future__ import annotations

import base64
import html
import json
import os
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async import CatalogueError, Client, Config, Connection
from collgs_async.catalogue.lenient_json import read_json
from collgs_async.http.messages import LONGEST, error_text
from collgs_async.models.redaction import forget_secret, keep_secret, redacted
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RecordedSleeps

PASSWORD = "p&ss \"w'rd+/%<ü€🛰"


@contextmanager
def known(secret: str, username: str = "") -> Iterator[None]:
    keep_secret(secret, username)
    try:
        yield
    finally:
        forget_secret(secret, username)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "url": lambda text: urllib.parse.quote(text, safe=""),
    "url, small letters": lambda text: urllib.parse.quote(text, safe="").lower(),
    "url, a path": urllib.parse.quote,
    "a form": urllib.parse.quote_plus,
    "url, twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "url, every letter": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "html": html.escape,
    "html, twice": lambda text: html.escape(html.escape(text)),
    "html, decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(letter):04X};" for letter in text),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, unescaped": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json, twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "basic": lambda text: base64.b64encode(f"ada:{text}".encode()).decode(),
    "basic, for an address": lambda text: base64.urlsafe_b64encode(f"ada:{text}".encode()).decode().rstrip("="),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "around",
    ['{{"message": "you sent {}, wrong"}}', "<html><title>no</title><p>{}</p>", "<message>{}</message>", "no: {}"],
)
def test_every_spelling_is_masked_in_every_kind_of_answer(spelling: str, around: str) -> None:
    written = SPELLINGS[spelling](PASSWORD)
    with known(PASSWORD, "ada"):
        words = error_text(around.format(written).encode())
        alone = redacted(f"said {written}, wrong")

    assert "said ***, wrong" == alone
    assert written not in words
    assert PASSWORD not in words


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=20), st.sampled_from(sorted(SPELLINGS)))
@settings(deadline=None)
def test_any_password_is_masked(password: str, spelling: str) -> None:
    with known(password, "ada"):
        assert "" == redacted(SPELLINGS[spelling](password)).replace("***", "")


def test_basic_authentication_in_latin_1_is_masked() -> None:
    header = base64.b64encode("ada:pässwörd".encode("latin-1")).decode()
    with known("pässwörd", "ada"):
        assert "the proxy said Basic ***" == redacted(f"the proxy said Basic {header}")


def test_a_password_that_is_cut_at_the_end_is_masked() -> None:
    with known("correct horse battery"):
        assert "you sent ***" == redacted("you sent correct ho")
        assert "you sent ***" == redacted("you sent correct%20horse+bat")
        assert "correct is a word" == redacted("correct is a word")
        long = error_text(b"x" * (LONGEST - 10) + b" correct horse battery " + b"y" * 50)
    assert "corr" not in long


def test_what_is_forgotten_is_shown_again_and_is_known_as_often_as_it_was_said() -> None:
    with known("secret word"):
        with known("secret word"):
            pass
        assert "the ***" == redacted("the secret word")
    assert "the secret word" == redacted("the secret word")


@pytest.mark.parametrize("piece", ["\\", "%25", "&amp;", "&#0", " ", "a", "%", "&#x0"])
def test_hostile_pages_cost_next_to_no_time(piece: str) -> None:
    with known("  aA\\\\ &'\"", "ada"):
        begun = time.process_time()
        redacted(piece * (64 * 1024 // len(piece)))

    assert time.process_time() - begun < 2


def test_no_half_of_a_secret_is_quoted_from_malformed_json() -> None:
    with known("correct horse battery"), pytest.raises(CatalogueError, match=r"malformed at byte \d+: ") as caught:
        read_json(b'{"a": "b" correct horse battery}')

    assert "horse" not in str(caught.value)


async def test_a_proxys_password_is_in_no_error_of_the_catalogue(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text=f"you sent {request.headers['Proxy-Authorization']} (tom: s3cr3t & more)")

    async with listening(echo) as origin:
        proxy = origin.replace("://", "://tom:s3cr3t%20%26%20more@")
        config = Config(
            base_url="http://catalogue.example/search",
            parameters={"parentIdentifier": "X"},
            output_directory=tmp_path,
            connection=Connection(timeout=5, proxy=proxy),
        )
        async with Client(config, sleep=sleeps) as client:
            with pytest.raises(CatalogueError, match=r"HTTP 403: you sent Basic \*\*\* \(tom: \*\*\*\)"):
                async for _ in client.catalogue.search():
                    pass


@pytest.mark.parametrize("where", ["environment", "environment without a name", "netrc", "netrc of everybody"])
async def test_a_password_is_masked_before_it_was_ever_used(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def say(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text="the password of ada is correct horse, and not to be told")

    for name in ("COLLGS_USERNAME", "COLLGS_PASSWORD", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    if where.startswith("netrc"):
        (tmp_path / "netrc").write_text('machine 127.0.0.1 login ada password "correct horse"\n')
        (tmp_path / "netrc").chmod(0o644 if where.endswith("everybody") else 0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    else:
        monkeypatch.setenv("COLLGS_PASSWORD", "correct horse")
    if where == "environment":
        monkeypatch.setenv("COLLGS_USERNAME", "ada")

    async with listening(say) as origin, Client(searching(origin, tmp_path), sleep=sleeps) as client:
        with pytest.raises(CatalogueError, match=r"HTTP 403: the password of ada is \*\*\*, and not"):
            async for _ in client.catalogue.search():
                pass
    assert "correct horse" == redacted("correct horse")


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "nothing", "no netrc", "not UTF-8", "without an end"])
async def test_a_netrc_that_cannot_be_read_harms_nothing_that_does_not_need_it(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def say(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"features": [], "totalResults": 0})

    path = Path("/dev/zero") if kind == "without an end" else tmp_path / "netrc"
    match kind:
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "no netrc":
            path.write_text("machine 127.0.0.1 password")
        case "not UTF-8":
            path.write_bytes(b"machine 127.0.0.1 login a password \xff\xfe\n")
    monkeypatch.setenv("NETRC", str(path))
    async with listening(say) as origin, Client(searching(origin, tmp_path), sleep=sleeps) as client:
        assert [] == [product async for product in client.catalogue.search()]


def searching(origin: str, folder: Path) -> Config:
    return Config(base_url=f"{origin}/search", parameters={"parentIdentifier": "X"}, output_directory=folder)
