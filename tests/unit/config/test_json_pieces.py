"""JSON that is parsed as it is read: the same values, errors and positions as `json.loads` has, wherever it is cut."""

from __future__ import annotations

import codecs
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.config.json_pieces import JsonReader, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = ("products", "left_out")
TEXTS = st.text(st.sampled_from('aé名😀"\\/ \n\ud800\ude00x'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from([*KEYS, "x", "query"]), st.lists(VALUES, max_size=5) | VALUES, max_size=4)
SPOILING = [b",", b"}", b"]", b"[", b"\xff", b"\xc3", b"1e", b'"', b"\n", b"{}", b"\\", b"\0", b"tru"]


def at_once(data: bytes) -> object:
    try:
        return repr(json.loads(data.decode("utf-8-sig")))
    except json.JSONDecodeError as error:
        return error.lineno, error.colno, error.msg
    except UnicodeDecodeError as error:
        return error.start


def in_pieces(data: bytes, chunk: int = 3) -> object:
    items: dict[str, list[Any]] = {key: [] for key in KEYS}
    texts: dict[str, list[str]] = {key: [] for key in KEYS}

    def into(key: str) -> Callable[[Any, str], None]:
        def take(item: Any, text: str) -> None:
            items[key].append(item)
            texts[key].append(text)

        return take

    try:
        reader = JsonReader(io.BytesIO(data), json.JSONDecoder(), 10**9, chunk)
        value, pairs = reader.read({key: into(key) for key in KEYS})
    except json.JSONDecodeError as error:
        return error.lineno, error.colno, error.msg
    except UnicodeDecodeError as error:
        return error.start
    assert items == {key: [json.loads(text) for text in texts[key]] for key in KEYS}
    if pairs is None:
        return repr(value)
    return repr({key: items[key] if key in KEYS and held == [] else held for key, held in pairs})


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_it_is_what_json_has_wherever_the_pieces_end(data: st.DataObject) -> None:
    value = data.draw(OBJECTS | VALUES)
    written = json.dumps(value, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=data.draw(st.booleans()))
    text = bytearray(data.draw(st.sampled_from([b"", codecs.BOM_UTF8])) + written.encode("utf-8", "backslashreplace"))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from([b"", *SPOILING]))

    assert at_once(bytes(text)) == in_pieces(bytes(text), data.draw(st.sampled_from([3, 4, 5, 16, 100])))


@pytest.mark.parametrize("number", ["0", "-1", "12345678901234567890", "1.5", "1e5", "-1.25E-10", "1e+300"])
def test_a_number_is_not_cut(number: str) -> None:
    text = f'{{"products": [{number}, {number}], "x": {number}}}'.encode()

    assert all(at_once(text) == in_pieces(text, chunk) for chunk in range(3, len(text) + 2))


def test_of_a_long_list_nothing_but_the_item_is_held() -> None:
    taken: list[int] = []
    text = b'{"products": [' + b",\n".join(b'{"n": %d}' % number for number in range(10_000)) + b"]}"

    value, pairs = JsonReader(io.BytesIO(text), json.JSONDecoder(), len(text)).read(
        {"products": lambda item, _: taken.append(item["n"])}
    )

    assert (None, [("products", [])], list(range(10_000))) == (value, pairs, taken)


def test_a_value_that_is_wrong_early_is_told_without_parsing_it_again_and_again() -> None:
    parsed = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            nonlocal parsed
            parsed += 1
            return super().raw_decode(s, idx)

    text = b'{"products": [{"a" 1, "b": "' + b"x" * 100_000 + b'"}]}'
    with pytest.raises(json.JSONDecodeError):
        JsonReader(io.BytesIO(text), Counting(), len(text), 100).read({"products": lambda *_: None})

    assert parsed <= 3


def test_a_long_value_is_parsed_a_few_times_only() -> None:
    parsed = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            nonlocal parsed
            parsed += 1
            return super().raw_decode(s, idx)

    text = b'{"x": "' + b"y" * 1_000_000 + b'"}'
    JsonReader(io.BytesIO(text), Counting(), len(text), 100).read({})

    assert parsed < 30


def test_more_than_is_permitted_is_refused_also_behind_an_error() -> None:
    with pytest.raises(TooLargeError):
        JsonReader(io.BytesIO(b"{" + b"}" * 1_000), json.JSONDecoder(), 900, 100).read({})
