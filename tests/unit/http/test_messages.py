"""The server's own words, whatever it wraps them in."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.http.login_page import is_login_page
from collgs_async.http.messages import LONGEST, error_text, html_words, is_html

GEOSERVER = b"""{"type":"Exception","exceptions":[{"exceptionCode":"InvalidParameterValue",
 "exceptionText":"Invalid expression for start time, use a ISO time or date instead: abcde","locator":"timeStart"}]}"""
RSS = b"""<rss xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><channel>
<title>OpenSearch for EO Error report</title>
<item><title>Unknown parentId 'IAmNotThere'</title><description>at java.lang.Thread</description></item>
</channel></rss>"""
OWS = b"""<?xml version="1.0"?><ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/2.0">
<ows:Exception exceptionCode="NoApplicableCode">
<ows:ExceptionText>The store &amp; its cache\nare away</ows:ExceptionText>
</ows:Exception></ows:ExceptionReport>"""
MAINTENANCE = b"""<!DOCTYPE html><html><head><style>title { color: red }</style>
<script>var title = "<title>no</title>";</script>
<title>Service   Unavailable</title></head><body><h1>Maintenance</h1></body></html>"""
PLAIN_FORM = b'<html><form action="/login"><input id="password" name="password" type="password"/></form></html>'
SCRIPT_FORM = b'<html><script>const kcContext = {"url": {"loginAction": "https://h/authenticate?x=1"}};</script></html>'


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("Invalid expression for start time, use a ISO time or date instead: abcde", GEOSERVER),
        ("Unknown parentId 'IAmNotThere'", RSS),
        ("The store & its cache are away", OWS),
        ("Service Unavailable", MAINTENANCE),
        ("The store is busy.", b"The store is busy.\r\n"),
        ("Too many flows", b"<error><message>Too many flows</message></error>"),
        ("not today", b'{"message": "not today"}'),
        ("not today", b'{"error": {"message": "not today"}}'),
        ("invalid_grant", b'{"error": "invalid_grant"}'),
        ("Maintenance", b"<html><body><h1>Maintenance</h1></body></html>"),
        ("Maintenance", b"<html><title> </title><body><h1>Maintenance</h1></body></html>"),
        ("Gateway time-out", b"<html><body><p>Gateway</p><p>time-out</p></body></html>"),
        ("Gateway time-out", b"<title>Gateway<br/>time-out</title>"),
        ("Back soon", b"<script>for (i = 0; i<n; i++) f();</script><p>Back soon</p>"),
        ("Back soon", b"<SCRIPT>var a = 1</SCRIPT><style>p > a { color: red }</style><p>Back soon</p>"),
        ("Too many", b"<error><message><![CDATA[Too many]]></message></error>"),
        ("Back soon", b"<!-- <title>no</title> --><p>Back soon</p>"),
        ("", b"<script>var a = 1"),
        ("", b""),
        ("", b"<html></html>"),
    ],
)
def test_words_are_found_in_every_kind_of_answer(words: str, body: bytes) -> None:
    assert words == error_text(body)


def test_json_that_breaks_off_still_gives_its_words() -> None:
    assert "Invalid expression for start time" == error_text(GEOSERVER[: GEOSERVER.index(b", use")])


@pytest.mark.parametrize("body", [GEOSERVER, RSS, OWS, MAINTENANCE])
def test_an_answer_may_be_cut_anywhere(body: bytes) -> None:
    for end in range(len(body)):
        assert len(error_text(body[:end])) <= LONGEST


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=2000))
def test_binary_becomes_one_short_line_without_control_characters(body: bytes) -> None:
    words = error_text(body)

    assert len(words) <= LONGEST
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in words)


def test_long_words_are_cut_and_say_so() -> None:
    words = error_text(b"x" * 10_000)

    assert (LONGEST, "…") == (len(words), words[-1])


@pytest.mark.parametrize(
    ("piece", "size"),
    [
        (b"<item><title>", 4 * 1024),
        (b"<title>", 32 * 1024),
        (b"<message>", 32 * 1024),
        (b"<h1>", 32 * 1024),
        (b"<input type ", 32 * 1024),
        (b"<!--", 32 * 1024),
        (b"<script>", 32 * 1024),
        (b"<script></script>", 32 * 1024),
        (b'{"message":"\\', 32 * 1024),
    ],
)
def test_hostile_markup_costs_next_to_no_time(piece: bytes, size: int) -> None:
    """An error page is read on the event loop; while it is read, no transfer moves."""
    body = piece * (size // len(piece))
    begun = time.process_time()

    error_text(body)
    is_login_page(b"<html>" + body)

    assert time.process_time() - begun < 0.25


WRITTEN_FORM = b"""<html><script>document.write('<input type="password">')</script></html>"""
FORMS = [PLAIN_FORM, SCRIPT_FORM, PLAIN_FORM.replace(b'"', b"'"), PLAIN_FORM.replace(b'"', b""), PLAIN_FORM.upper()]


@pytest.mark.parametrize("body", [*FORMS, WRITTEN_FORM])
def test_both_forms_of_a_sign_in_page_are_known(body: bytes) -> None:
    assert is_login_page(body)


@pytest.mark.parametrize(
    "body", [MAINTENANCE, RSS, GEOSERVER, b"", b"the password is wrong", b'<rss><input type="password"></rss>']
)
def test_other_pages_are_no_sign_in_form(body: bytes) -> None:
    assert not is_login_page(body)


@pytest.mark.parametrize("body", [MAINTENANCE, b"\xef\xbb\xbf\n <HTML>", b'<?xml version="1.0"?><html>'])
def test_html_is_known_by_its_first_bytes(body: bytes) -> None:
    assert is_html(body)


@pytest.mark.parametrize("body", [b"PK\x03\x04", RSS, OWS, GEOSERVER, b""])
def test_what_is_not_html_is_not_taken_for_it(body: bytes) -> None:
    assert not is_html(body)


@pytest.mark.parametrize("letter", ["\u0530", "\u061c", "\u200e", "\u2066", "\ufeff", "\U000e0041", "\ue000"])
def test_what_moves_or_hides_text_is_no_part_of_the_words(letter: str) -> None:
    for body in (f"a{letter}b", f"<h1>a{letter}b</h1>", json.dumps({"message": f"a{letter}b"})):
        assert "a?b" == error_text(body.encode())
    assert "a?b: c?d." == html_words(f"<title>a{letter}b</title><p>c{letter}d. Then".encode())
