"""The address of tiles: what the page may request, and nothing beside it."""

from __future__ import annotations

import pytest

from collgs_async.reporting.map.background import Background
from collgs_async.reporting.map.page import page

XYZ = "{z}/{x}/{y}.png"


@pytest.mark.parametrize(
    ("template", "origin", "credit"),
    [
        (f"https://tiles.example/{XYZ}", "https://tiles.example", "tiles.example"),
        (f"http://127.0.0.1:8080/{XYZ}?key=a%20b&style=c", "http://127.0.0.1:8080", "127.0.0.1"),
        (f"HTTPS://Tiles.Example/{XYZ}", "https://tiles.example", "tiles.example"),
        (f"https://tile.openstreetmap.org/{XYZ}", "https://tile.openstreetmap.org", "© OpenStreetMap contributors"),
        (f"https://notopenstreetmap.org/{XYZ}", "https://notopenstreetmap.org", "notopenstreetmap.org"),
        ("https://tiles.example/wmts?m={z}&r={y}&c={x}", "https://tiles.example", "tiles.example"),
        (f"http://localhost/{XYZ}", "http://localhost", "localhost"),
    ],
)
def test_an_address_of_tiles(template: str, origin: str, credit: str) -> None:
    background = Background.parse(template)

    assert (template, origin, credit) == (background.template, background.origin, background.credit)
    assert f"img-src data: {origin}; " in page([], background=background)


def test_a_credit_of_ones_own() -> None:
    assert "© A & B" == Background.parse(f"https://tiles.example/{XYZ}", "© A & B").credit


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "{z}, {x} and {y}"),
        ("https://tiles.example/{z}/{x}.png", "{z}, {x} and {y}"),
        ("https://{s}.tiles.example/" + XYZ, "found {s}"),
        (f"https://tiles.example/{XYZ}/{{-y}}", "found {-y}"),
        (f"ftp://tiles.example/{XYZ}", "found ftp"),
        (f"tiles.example/{XYZ}", "found no scheme"),
        (f"javascript:alert(1)//{XYZ}", "found javascript"),
        (f"data:image/png,{XYZ}", "found data"),
        (f"https://user:secret@tiles.example/{XYZ}", "no user name or password"),
        (f"https://tiles.example:99999/{XYZ}", "port"),
        (f"https://tiles.example:port/{XYZ}", "port"),
        (f"https://[::1]/{XYZ}", "letters, digits"),
        (f"https://[::1/{XYZ}", "port"),
        ("https://{z}.example/{x}/{y}", "without placeholders"),
        (f"https:///{XYZ}", "letters, digits"),
        (f"https://*/{XYZ}", "letters, digits"),
        (f"https://*.example/{XYZ}", "letters, digits"),
        (f"https://tiles.example;script-src/{XYZ}", "letters, digits"),
        (f"https://tiles.example,x/{XYZ}", "letters, digits"),
        (f"https://tiles.example /{XYZ}", "{z}, {x} and {y}"),
        (f"https://tiles.example\n/{XYZ}", "{z}, {x} and {y}"),
        (f'https://tiles.example/"onload=/{XYZ}', "{z}, {x} and {y}"),
        (f"https://tiles.example/'/{XYZ}", "{z}, {x} and {y}"),
        (f"https://tiles.example/<b>/{XYZ}", "{z}, {x} and {y}"),
        (f"https://tiles.example\\@evil.example/{XYZ}", "{z}, {x} and {y}"),
        (f"https://tïles.example/{XYZ}", "{z}, {x} and {y}"),
        (f"https://{'a' * 300}.example/{XYZ}", "letters, digits"),
    ],
)
def test_what_is_no_address_of_tiles_is_refused(template: str, words: str) -> None:
    with pytest.raises(ValueError, match="expected ") as caught:
        Background.parse(template)

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_hostile_credit_is_only_text() -> None:
    credit = "</script><script>hit = 1</script>\u202e"

    text = page([], background=Background.parse(f"https://tiles.example/{XYZ}", credit))

    assert "<script>hit" not in text
    assert "\u202e" not in text


def test_without_tiles_the_page_may_load_nothing() -> None:
    text = page([])

    assert "img-src data:; " in text
    assert 'name="referrer" content="no-referrer"' in text
