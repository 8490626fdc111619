"""A page with a fault that is beyond doubt is read; one that is not says where it is broken and what stands there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.catalogue.lenient_json import read_json
from collgs_async.catalogue.response import read_page
from collgs_async.errors import CatalogueError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.product import Product

BASE = "https://collgs.lu/"


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"identifier": name, "links": {"data": [{"href": f"{name}.zip"}]}, **more}}


def products(body: bytes) -> list[Product]:
    return list(read_page(200, body, download_base=BASE).products)


def page(*names: str) -> bytes:
    return json.dumps({"features": [entry(name) for name in names], "totalResults": len(names)}).encode()


def refused(body: bytes) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        products(body)
    return caught.value


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body, id="as it is"),
        pytest.param(lambda body: b"\xef\xbb\xbf" + body, id="a byte order mark"),
        pytest.param(lambda body: body.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(lambda body: body.decode().encode("utf-16-be"), id="UTF-16 without a mark"),
        pytest.param(lambda body: body.decode().encode("utf-32"), id="UTF-32"),
        pytest.param(lambda body: b"\r\n \0" + body, id="blanks before it"),
        pytest.param(lambda body: body + b"\0\0\n\0", id="NUL behind it"),
        pytest.param(lambda body: body + b"<html>504</html>", id="markup behind it"),
        pytest.param(lambda body: body.replace(b'{"features"', b'{"title": "donn\xe9es", "features"'), id="Latin-1"),
        pytest.param(lambda body: body.replace(b'{"features"', b'{"a": "x\ty\x01\nz", "features"'), id="controls"),
        pytest.param(lambda body: body.replace(b'{"features"', b'{"a": [NaN, -Infinity], "features"'), id="NaN"),
        pytest.param(
            lambda body: body.replace(b'{"features"', b'{"a": ' + b"9" * 5000 + b', "features"'), id="a long number"
        ),
        pytest.param(
            lambda body: body.replace(b'"identifier": "B"', b'"identifier": "B", "identifier": "B"'),
            id="a name twice, the same value",
        ),
    ],
)
def test_what_is_beyond_doubt_is_read(spoil: Any) -> None:
    found = products(spoil(page("A", "B")))

    assert [("A", BASE + "A.zip"), ("B", BASE + "B.zip")] == [(one.identifier, one.url) for one in found]


@pytest.mark.parametrize(
    ("whole", "broken", "problem"),
    [
        (b'"identifier": "B"', b'"identifier": "B\xe9"', "a byte is broken in its identifier"),
        (b'"href": "B.zip"', b'"href": "B\xe9.zip"', "a byte is broken in its download link"),
        (b'"href": "B.zip"', b'"href": "B.zip", "href": "C.zip"', "the catalogue gives no download link for it"),
        (b'"identifier": "B"', b'"identifier": "B", "identifier": "C"', "the catalogue gives it no identifier"),
    ],
)
def test_what_is_in_doubt_costs_its_product_alone(whole: bytes, broken: bytes, problem: str) -> None:
    first, second, third = products(page("A", "B", "D").replace(whole, broken))

    assert (BASE + "A.zip", BASE + "D.zip") == (first.url, third.url)
    assert second.url is None
    assert str(second.problem).startswith(problem)


def test_names_with_different_broken_bytes_stay_apart() -> None:
    body = page("A1", "A2").replace(b"A1", b"A\xe9").replace(b"A2", b"A\xe8")

    assert 2 == len({one.identifier for one in products(body)})


def test_an_odd_number_is_not_known_rather_than_wrong() -> None:
    body = page("A").replace(b'"identifier"', b'"productInformation": {"cloudCover": NaN}, "identifier"')

    assert products(body)[0].cloud_cover is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"features": [{"a" "b"}]}', 'malformed at byte 19, "\\"b\\"}]}": expecting \':\' delimiter'),
        ("{\"ü\": 'x', 1}".encode(), "malformed at byte 7, \"'x', 1}\": expecting value"),
        (b'{"a": ' * 100_000, "malformed: it is nested too deeply"),
    ],
)
def test_malformed_json_names_the_place_and_may_be_better_next_time(body: bytes, told: str) -> None:
    error = refused(body)

    assert f"the catalogue's answer is {told}" in str(error)
    assert error.retryable


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"Service Unavailable\r\n", "text instead of JSON: Service Unavailable"),
        (b"\xef\xbb\xbf  'no'", "text instead of JSON: "),
        (b"\x1f\x8b\x08\0\0\0\0\0", "data that is no text"),
        (b"PK\3\4\0\0", "data that is no text"),
    ],
)
def test_what_is_no_json_is_told_in_its_own_words(body: bytes, told: str) -> None:
    error = refused(body)

    assert str(error).startswith(f"the catalogue answered with {told}")
    assert error.retryable


def test_a_second_document_is_never_dropped_in_silence() -> None:
    error = refused(page("A") + b"\n" + page("B"))

    assert "the catalogue's answer is malformed: more JSON at byte" in str(error)


@pytest.mark.parametrize(
    "many",
    [
        pytest.param(lambda: b"{}," * 1_000_000 + b"{}", id="empty entries"),
        pytest.param(lambda: b"{" + b",".join(b'"%x":1' % number for number in range(950_000)) + b"}", id="names"),
        pytest.param(lambda: b'"x",' * 1_900_000 + b'""', id="strings"),
        pytest.param(lambda: b"[1.5]," * 900_000 + b"[]", id="lists"),
        pytest.param(lambda: b'{"a":"b"},' * 600_000 + b"{}", id="objects"),
    ],
)
def test_millions_of_values_are_refused_before_they_take_memory(many: Callable[[], bytes]) -> None:
    error = refused(b'{"features": [' + many() + b"]}")

    assert "the catalogue's answer has more than 1800000 values" == str(error)
    assert not error.retryable


def test_ten_thousand_usual_products_are_no_million_values() -> None:
    usual = json.dumps(entry("S2A", date="2025-05-01T10:30:21Z")).encode()
    ring = json.dumps([[number / 7, number / 9] for number in range(1000)]).encode()

    assert 100 == len(read_json(b'{"features": [' + b",".join([b'{"x": ' + ring + b"}"] * 100) + b"]}")["features"])
    assert 10_000 == len(read_json(b'{"features": [' + b",".join([usual] * 10_000) + b"]}")["features"])


def test_every_cut_of_a_page_is_worth_another_try() -> None:
    body = json.dumps({"features": [{"a": [1.5e3, True, False, None, 'x"\u00e9\n', -7]}]}).encode()

    for end in range(len(body)):
        error = refused(body[:end])
        assert (f"the catalogue's answer broke off after {plural(end, 'byte')}", True) == (str(error), error.retryable)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]), st.booleans())
def test_right_json_is_read_as_ever(value: Any, encoding: str, ascii_only: bool) -> None:
    wrapped = {"a": value}  # so that its first two letters are ASCII, by which the encoding is told
    text = json.dumps(wrapped, ensure_ascii=ascii_only)

    assert wrapped == read_json(text.encode(encoding, "surrogatepass"))


@given(st.binary())
def test_any_bytes_are_json_or_an_error_that_can_be_printed(body: bytes) -> None:
    told = ""
    try:
        read_json(body)
    except CatalogueError as error:
        told = str(error)
    assert told.isprintable()
