"""Addresses of object stores: what is one, and what is said of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.store_url import StoreUrl

LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="/@?#")
PARTS = st.text(LETTERS, min_size=1, max_size=30).filter(lambda part: part not in (".", ".."))
BUCKETS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{2,60}", fullmatch=True)


@given(st.sampled_from(["s3", "gs", "az"]), BUCKETS, st.lists(PARTS, max_size=4).map("/".join))
def test_what_is_written_is_read_again(scheme: str, bucket: str, prefix: str) -> None:
    url = StoreUrl(scheme, bucket, prefix)

    assert url == StoreUrl.parse(str(url))
    assert url == StoreUrl.parse(f"{url}/")
    assert StoreUrl.is_url(str(url))


@given(st.text(max_size=60) | st.text("s3gaz:/@?#.- \n\0bucket", max_size=40))
def test_any_text_is_read_as_one_address_or_refused_in_words(text: str) -> None:
    refusal = ""
    try:
        found = str(StoreUrl.parse(text))
    except ValueError as error:
        found, refusal = text, str(error)

    assert refusal.startswith("expected ") or not refusal
    assert refusal.isprintable()
    assert text.removesuffix("/").lower() == found.removesuffix("/").lower()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://bucket/x", 'found "http://bucket/x"'),
        ("s3:/bucket", 'found "s3:/bucket"'),
        ("downloads", 'found "downloads"'),
        ("s3://", "with the name of a bucket"),
        ("s3://ab/x", "with the name of a bucket"),
        ("s3://127.0.0.1:8333/bucket", "a host and port belong in --endpoint-url"),
        ("s3://bucket//x", "without empty, relative or unprintable parts"),
        ("s3://bucket/../x", "without empty, relative or unprintable parts"),
        ("s3://bucket/x\ny", "without empty, relative or unprintable parts"),
        ("s3://bucket/x?acl=public", "without a query"),
        ("s3://bucket/x#y", "without a fragment"),
        (f"s3://bucket/{'x' * 701}", "at most 700 bytes, found 701"),
    ],
)
def test_what_is_none_is_refused_with_what_was_found(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        StoreUrl.parse(text)

    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["s3://key:pa55word@bucket/x", "s3://key:pa55/word@bucket", "s3://bucket/x?k=pa55@y"])
def test_a_password_in_it_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID") as caught:
        StoreUrl.parse(text)

    assert "pa55" not in str(caught.value)
