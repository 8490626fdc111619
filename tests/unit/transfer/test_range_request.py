"""What to request and what a response is worth: the table of the module, row by row, and then headers of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from collgs_async.errors import TransferError
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.transfer.range_request import (
    OVERLAP,
    AskAgain,
    RangeRequest,
    ResponseBody,
    build_request,
    interpret_response,
    strong_validator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "http://store/a.zip"
OLD, SOON = "Fri, 24 Sep 2021 16:30:21 GMT", "Fri, 24 Sep 2021 16:31:21 GMT"
HELD, SIZE = 100_000, 300_000
TAGGED = RemoteVersion(URL, SIZE, '"tag"', OLD, SOON)
DATED = RemoteVersion(URL, SIZE, None, OLD, SOON)
WEAK = RemoteVersion(URL, SIZE, 'W/"tag"', OLD, SOON)
REST = RangeRequest(HELD, None, '"tag"')


def interpreted(
    status: int,
    headers: Mapping[str, str],
    *,
    request: RangeRequest = REST,
    held: int = HELD,
    wanted: int | None = None,
    known: RemoteVersion | None = TAGGED,
) -> ResponseBody | AskAgain:
    """Interpret a response; what is here is the archive's beginning, unless `wanted` says that there is a gap."""
    wanted = held if wanted is None else wanted
    return interpret_response(status, headers, request=request, wanted=wanted, held=held, known=known, url=URL)


def decide(status: int, headers: Mapping[str, str], **given: Any) -> ResponseBody:
    """Interpret a response that can be used."""
    answer = interpreted(status, headers, **given)
    assert isinstance(answer, ResponseBody)
    return answer


@pytest.mark.parametrize(
    "words", ["none", "utf-8", "binary, aws-chunked", "identity", "x-identity,", "Identity, NONE", ""]
)
def test_words_that_are_no_coding_change_no_byte(words: str) -> None:
    assert 0 == decide(200, {"Content-Length": str(SIZE), "Content-Encoding": words}, request=RangeRequest()).first


@pytest.mark.parametrize("words", ["gzip", "none, GZIP", "br", "zstd", "x-compress", "deflate,none"])
def test_a_coding_is_refused(words: str) -> None:
    with pytest.raises(TransferError, match="Content-Encoding"):
        decide(200, {"Content-Length": str(SIZE), "Content-Encoding": words}, request=RangeRequest())


def test_a_coding_in_a_second_field_is_refused() -> None:
    with pytest.raises(TransferError, match="Content-Encoding gzip"):
        decide(200, CIMultiDict([("Content-Encoding", "none"), ("Content-Encoding", "gzip")]), request=RangeRequest())


@pytest.mark.parametrize("tag", ['"\x01"', '"\u00e9"', '"\udce9"', '"a\r\nX: y"', f'"{"x" * 2000}"'])
def test_what_cannot_be_sent_back_is_no_validator(tag: str) -> None:
    """An older sidecar may have it, too."""
    remote = RemoteVersion(URL, SIZE, tag, OLD, SOON)

    assert strong_validator(remote) is None
    assert build_request((HELD, None), beginning(HELD), remote, URL).if_range is None
    assert strong_validator(RemoteVersion(URL, SIZE, None, f"{OLD}\x01", SOON)) is None


def beginning(held: int) -> ByteRanges:
    return ByteRanges([(0, held)])


def asks(
    status: int,
    headers: Mapping[str, str],
    *,
    known: RemoteVersion | None = TAGGED,
    request: RangeRequest = REST,
    wanted: int | None = None,
) -> AskAgain:
    answer = interpreted(status, headers, known=known, request=request, wanted=wanted)
    assert isinstance(answer, AskAgain)
    return answer


def span(first: int, last: int, total: int | str = SIZE, **headers: str) -> dict[str, str]:
    return {"Content-Range": f"bytes {first}-{last}/{total}", **headers}


@pytest.mark.parametrize(
    ("remote", "validator"),
    [
        pytest.param(TAGGED, '"tag"', id="a strong tag"),
        pytest.param(WEAK, None, id="a weak tag, whatever the dates say"),
        pytest.param(DATED, OLD, id="a date a minute before"),
        pytest.param(RemoteVersion(URL, SIZE, None, OLD, OLD), None, id="a date that is not old enough"),
        pytest.param(RemoteVersion(URL, SIZE, None, SOON, OLD), None, id="a date in the future"),
        pytest.param(RemoteVersion(URL, SIZE, None, OLD, None), None, id="no Date"),
        pytest.param(RemoteVersion(URL, SIZE, None, None, SOON), None, id="no Last-Modified"),
        pytest.param(RemoteVersion(URL, SIZE, None, "yesterday", SOON), None, id="a date that is none"),
        pytest.param(
            RemoteVersion(URL, SIZE, None, OLD, "24 Sep 2021 16:31:21 -0000"), None, id="a date without a zone"
        ),
        pytest.param(
            RemoteVersion(URL, SIZE, None, OLD, "Fri, 24 Sep 99999999999 16:31:21 GMT"), None, id="a far year"
        ),
        pytest.param(RemoteVersion(URL, SIZE, "tag"), None, id="a tag without quotes"),
        pytest.param(RemoteVersion(URL, SIZE), None, id="nothing"),
    ],
)
def test_only_a_strong_validator_vouches(remote: RemoteVersion, validator: str | None) -> None:
    assert validator == strong_validator(remote)


DATES = st.sampled_from([OLD, SOON]) | st.text(max_size=40) | st.from_regex(r"[A-Z]\w\w, \d+ Sep \d+ \d+:\d+ [+-]\d+")


@settings(deadline=None, derandomize=True)
@given(st.none() | st.text(max_size=5), st.none() | DATES, st.none() | DATES)
def test_any_validators_are_judged_without_a_fuss(etag: str | None, modified: str | None, date: str | None) -> None:
    assert strong_validator(RemoteVersion(URL, SIZE, etag, modified, date)) in {None, etag, modified}


@pytest.mark.parametrize(
    ("held", "remote", "sent"),
    [
        pytest.param(0, TAGGED, RangeRequest(), id="nothing is here"),
        pytest.param(HELD, TAGGED, RangeRequest(HELD, None, '"tag"'), id="a strong tag"),
        pytest.param(HELD, DATED, RangeRequest(HELD, None, OLD), id="a strong date"),
        pytest.param(HELD, WEAK, RangeRequest(HELD - OVERLAP), id="a weak tag"),
        pytest.param(HELD, None, RangeRequest(HELD - OVERLAP), id="no sidecar"),
        pytest.param(
            HELD, RemoteVersion("http://elsewhere/", SIZE, '"tag"'), RangeRequest(HELD - OVERLAP), id="another URL"
        ),
        pytest.param(10, None, RangeRequest(0), id="less than a block is here"),
    ],
)
def test_what_is_remembered_decides_what_is_asked(held: int, remote: RemoteVersion | None, sent: RangeRequest) -> None:
    assert sent == build_request((held, None), beginning(held), remote, URL)


SCATTERED = ByteRanges([(1_000, 100_000), (150_000, 200_000)])


@pytest.mark.parametrize(
    ("gap", "remote", "sent"),
    [
        pytest.param((100_000, 150_000), TAGGED, RangeRequest(100_000, 150_000, '"tag"'), id="a strong tag"),
        pytest.param(
            (120_000, 130_000), TAGGED, RangeRequest(120_000, 130_000, '"tag"'), id="only a piece of it is wanted"
        ),
        pytest.param((200_000, None), TAGGED, RangeRequest(200_000, None, '"tag"'), id="all that follows"),
        pytest.param((0, 1_000), TAGGED, RangeRequest(0, 1_000, '"tag"'), id="the beginning"),
        pytest.param((100_000, 150_000), WEAK, RangeRequest(100_000 - OVERLAP, 150_000), id="the block before it"),
        pytest.param((200_000, 300_000), None, RangeRequest(150_000, 300_000), id="all that is here before it"),
        pytest.param((120_000, 130_000), WEAK, RangeRequest(120_000, 130_000), id="nothing is here before it"),
        pytest.param((0, 1_000), None, RangeRequest(0, 1_000), id="nothing can be before the beginning"),
    ],
)
def test_gap_between_what_is_here_is_asked_for_to_its_end(
    gap: tuple[int, int | None], remote: RemoteVersion | None, sent: RangeRequest
) -> None:
    assert sent == build_request(gap, SCATTERED, remote, URL)


@pytest.mark.parametrize(
    ("gap", "remote", "sent"),
    [
        pytest.param((50_000, SIZE), TAGGED, RangeRequest(50_000, SIZE, '"tag"'), id="a piece of a known version"),
        pytest.param((50_000, SIZE), WEAK, RangeRequest(), id="no validator"),
        pytest.param((0, 50_000), TAGGED, RangeRequest(), id="the beginning"),
    ],
)
def test_while_nothing_is_here_only_a_validator_allows_to_begin_elsewhere(
    gap: tuple[int, int | None], remote: RemoteVersion | None, sent: RangeRequest
) -> None:
    assert sent == build_request(gap, ByteRanges(), remote, URL)


def test_piece_of_another_version_proves_nothing_though_nothing_is_here() -> None:
    sent = RangeRequest(50_000, SIZE, '"tag"')

    same = decide(206, span(50_000, SIZE - 1, ETag='"tag"'), request=sent, held=0, wanted=50_000)
    other = interpreted(206, span(50_000, SIZE - 1, ETag='"other"'), request=sent, held=0, wanted=50_000)

    assert same.proven
    assert isinstance(other, AskAgain)


def test_server_that_mishandles_ranges_or_conditions_is_not_asked_for_them() -> None:
    rest, held = (HELD, None), beginning(HELD)

    assert RangeRequest() == build_request(rest, held, TAGGED, URL, accepts_ranges=False)
    assert RangeRequest(HELD - OVERLAP) == build_request(rest, held, TAGGED, URL, accepts_if_range=False)


def test_server_that_ignores_ranges_is_asked_for_everything_also_when_a_gap_has_an_end() -> None:
    assert RangeRequest() == build_request((100_000, 150_000), SCATTERED, TAGGED, URL, accepts_ranges=False)
    assert RangeRequest(100_000 - OVERLAP, 150_000) == build_request(
        (100_000, 150_000), SCATTERED, TAGGED, URL, accepts_if_range=False
    )


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (RangeRequest(), {}),
        (RangeRequest(7), {"Range": "bytes=7-"}),
        (RangeRequest(7, None, '"tag"'), {"Range": "bytes=7-", "If-Range": '"tag"'}),
        (RangeRequest(7, 20), {"Range": "bytes=7-19"}),
        (RangeRequest(7, 8, '"tag"'), {"Range": "bytes=7-7", "If-Range": '"tag"'}),
        (RangeRequest(0, 20), {"Range": "bytes=0-19"}),
    ],
)
def test_question_becomes_headers(sent: RangeRequest, headers: Mapping[str, str]) -> None:
    assert headers == sent.headers


def test_the_rest_of_the_same_version_is_proven() -> None:
    answer = decide(206, span(HELD, SIZE - 1, ETag='"tag"'))

    assert (HELD, SIZE, SIZE, True) == (answer.first, answer.end, answer.remote.size, answer.proven)


def test_the_rest_without_the_tag_that_was_asked_for_is_not_proven() -> None:
    """A server that knew If-Range would have sent the tag."""
    question = asks(206, span(HELD, SIZE - 1))

    assert (False, True, False) == (question.accepts_if_range, question.accepts_ranges, question.from_start)


def test_server_that_does_not_send_the_block_to_be_compared_cannot_be_resumed_from() -> None:
    question = asks(206, span(HELD, SIZE - 1), request=RangeRequest(HELD - OVERLAP))

    assert (False, False, False) == (question.accepts_if_range, question.accepts_ranges, question.from_start)


def test_the_rest_by_a_date_is_proven() -> None:
    assert decide(
        206, span(HELD, SIZE - 1, **{"Last-Modified": OLD}), request=RangeRequest(HELD, None, OLD), known=DATED
    ).proven


def test_range_between_what_is_here_ends_where_it_says() -> None:
    answer = decide(
        206, span(HELD, 149_999, ETag='"tag"'), request=RangeRequest(HELD, 150_000, '"tag"'), held=150_000, wanted=HELD
    )

    assert (HELD, 150_000, SIZE, True) == (answer.first, answer.end, answer.remote.size, answer.proven)


@pytest.mark.parametrize("last", [HELD, SIZE - 1])
def test_range_that_ends_elsewhere_than_asked_is_taken_for_what_it_is(last: int) -> None:
    answer = decide(206, span(HELD, last, ETag='"tag"'), request=RangeRequest(HELD, 150_000, '"tag"'))

    assert (HELD, last + 1) == (answer.first, answer.end)


def test_missing_beginning_without_a_condition_is_unproven() -> None:
    """What is here lies behind it, so no byte of the answer can be compared: checksums have the last word."""
    answer = decide(206, span(0, 999), request=RangeRequest(0, 1000), held=HELD, wanted=0, known=None)

    assert (0, 1000, False) == (answer.first, answer.end, answer.proven)


def test_gap_is_not_filled_by_a_range_without_proof() -> None:
    """Nothing is here right before the gap, so nothing could be compared."""
    questions = [
        asks(206, span(120_000, 129_999, ETag=tag), request=RangeRequest(120_000, 130_000, condition), wanted=120_000)
        for tag, condition in [('"other"', '"tag"'), ('"tag"', None)]
    ]

    assert [(False, True), (False, False)] == [(one.accepts_if_range, one.accepts_ranges) for one in questions]


def test_range_that_begins_behind_the_gap_is_refused() -> None:
    assert not asks(
        206, span(120_001, 129_999), request=RangeRequest(120_000, 130_000, '"tag"'), wanted=120_000
    ).accepts_ranges


def test_range_is_judged_by_its_content_range_whatever_the_status() -> None:
    length = str(SIZE - HELD)

    assert HELD == decide(200, span(HELD, SIZE - 1, ETag='"tag"', **{"Content-Length": length})).first


@pytest.mark.parametrize("length", [{}, {"Content-Length": str(SIZE + 1)}])
def test_content_range_of_a_200_means_nothing_unless_the_length_agrees(length: Mapping[str, str]) -> None:
    assert 0 == decide(200, span(HELD, SIZE - 1, ETag='"tag"', **length)).first


@pytest.mark.parametrize("length", ["0", str(SIZE), str(SIZE - HELD + 1)])
def test_range_of_another_length_than_its_body_is_refused(length: str) -> None:
    assert not asks(206, span(HELD, SIZE - 1, ETag='"tag"', **{"Content-Length": length})).accepts_ranges


def test_range_that_begins_earlier_is_compared() -> None:
    answer = decide(206, span(HELD - 1000, SIZE - 1), request=RangeRequest(HELD - OVERLAP), known=None)

    assert (HELD - 1000, False) == (answer.first, answer.proven)


def test_range_from_the_first_byte_needs_no_proof() -> None:
    assert decide(206, span(0, SIZE - 1), request=RangeRequest(), held=0, known=None).proven


def test_range_that_begins_late_is_refused_and_ranges_with_it() -> None:
    assert not asks(206, span(HELD + 1, SIZE - 1)).accepts_ranges


def test_range_of_another_tag_is_asked_for_without_a_condition() -> None:
    question = asks(206, span(HELD, SIZE - 1, ETag='"other"'))

    assert (False, True, False) == (question.accepts_if_range, question.accepts_ranges, question.from_start)


def test_range_of_another_length_means_another_version() -> None:
    assert asks(206, span(HELD, SIZE, SIZE + 1, ETag='"tag"')).from_start


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Range": "bytes */300000"},
        {"Content-Range": "items 0-1/2"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
        span(HELD, HELD - 1),
        span(HELD, SIZE),
        {"Content-Range": "bytes 100000-299999/300000, bytes 0-1/300000"},
        {"Content-Range": f"bytes {'9' * 30}-{'9' * 30}/*"},
    ],
)
def test_partial_answer_that_does_not_say_what_it_is_is_refused(headers: Mapping[str, str]) -> None:
    assert not asks(206, headers).accepts_ranges


def test_whole_archive_begins_at_the_first_byte() -> None:
    answer = decide(200, {"Content-Length": str(SIZE)}, request=RangeRequest(), held=0, known=None)

    assert (0, SIZE, True) == (answer.first, answer.end, answer.proven)


@pytest.mark.parametrize("length", [{}, {"Content-Length": "x"}, {"Content-Length": "-1"}, {"Content-Length": "²"}])
def test_length_that_is_none_is_unknown(length: Mapping[str, str]) -> None:
    assert decide(200, length, request=RangeRequest(), held=0, known=None).end is None


def test_whole_archive_of_another_length_is_another_version_and_taken() -> None:
    assert 0 == decide(200, {"Content-Length": str(SIZE + 1)}).first


def test_whole_archive_of_the_same_length_is_first_asked_for_by_its_last_block() -> None:
    assert not asks(200, {"Content-Length": str(SIZE)}).accepts_if_range


@pytest.mark.parametrize("encoding", ["gzip", "br", " GZIP ", "identity, gzip"])
@pytest.mark.parametrize("status", [200, 206])
def test_encoded_archive_is_refused(status: int, encoding: str) -> None:
    with pytest.raises(TransferError, match="Content-Encoding"):
        decide(status, span(HELD, SIZE - 1, **{"Content-Encoding": encoding}))


def test_identity_is_no_encoding() -> None:
    assert HELD == decide(206, span(HELD, SIZE - 1, ETag='"tag"', **{"Content-Encoding": "identity"})).first


def test_nothing_beyond_what_is_here_means_that_all_is_here() -> None:
    answer = decide(416, {"Content-Range": f"bytes */{HELD}"}, known=None)

    assert (HELD, HELD, HELD, False) == (answer.first, answer.end, answer.remote.size, answer.proven)


@pytest.mark.parametrize(
    ("sent", "total"),
    [
        pytest.param(RangeRequest(), HELD, id="although no range was asked for"),
        pytest.param(REST, 0, id="of nothing at all"),
    ],
)
def test_out_of_range_of_an_empty_archive_is_tried_again(sent: RangeRequest, total: int) -> None:
    with pytest.raises(TransferError, match="the store says that the archive is empty"):
        decide(416, {"Content-Range": f"bytes */{total}"}, request=sent)


def test_nothing_beyond_what_is_here_of_an_archive_that_was_longer_is_another_version() -> None:
    """The part holds 100,000 of 300,000 bytes; the store now has 100,000 in all."""
    assert asks(416, {"Content-Range": f"bytes */{HELD}"}, known=TAGGED).from_start


def test_out_of_range_of_what_is_in_the_archive_throws_nothing_away() -> None:
    """Of a file with a gap, the store refuses the gap, and says itself that the archive is longer than that."""
    question = asks(416, {"Content-Range": f"bytes */{SIZE}"}, request=RangeRequest(HELD, 2 * HELD, '"tag"'))

    assert (False, False) == (question.from_start, question.accepts_ranges)


@pytest.mark.parametrize(
    ("headers", "ranges"),
    [({"Content-Range": "bytes */5"}, True), ({}, False), ({"Content-Range": "bytes */*"}, False)],
)
def test_part_that_is_too_long_is_given_up(headers: Mapping[str, str], *, ranges: bool) -> None:
    question = asks(416, headers)

    assert (True, ranges) == (question.from_start, question.accepts_ranges)


NUMBERS = st.sampled_from([0, 1, HELD - OVERLAP, HELD - 1, HELD, HELD + 1, SIZE - 1, SIZE, SIZE + 1]) | st.integers(
    0, 10**20
)
RANGES = st.builds("bytes {}-{}/{}".format, NUMBERS, NUMBERS, NUMBERS | st.just("*")) | st.builds(
    "bytes */{}".format, NUMBERS
)
TAGS = st.sampled_from(['"tag"', '"other"', 'W/"tag"', "tag", ""])
SOUP = st.fixed_dictionaries(
    {},
    optional={
        "Content-Range": RANGES | st.text(max_size=30),
        "Content-Length": NUMBERS.map(str) | st.text(max_size=5),
        "Content-Encoding": st.sampled_from(["", "identity", "gzip"]) | st.text(max_size=5),
        "ETag": TAGS,
        "Last-Modified": st.sampled_from([OLD, SOON, "x"]),
        "Date": st.sampled_from([OLD, SOON, "x"]),
    },
)
KNOWN = st.none() | st.builds(
    RemoteVersion,
    st.sampled_from([URL, "http://elsewhere/"]),
    st.none() | NUMBERS,
    st.none() | TAGS,
    st.none() | st.sampled_from([OLD, SOON]),
    st.none() | st.sampled_from([OLD, SOON]),
)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from([200, 206, 416]), SOUP, st.sampled_from([0, 1, HELD, SIZE]), KNOWN, st.booleans(), st.booleans())
@example(416, {"Content-Range": f"bytes */{HELD}"}, HELD, TAGGED, True, True)
def test_any_headers_give_an_answer_that_can_be_joined_or_a_reason(
    status: int,
    headers: dict[str, str],
    held: int,
    known: RemoteVersion | None,
    accepts_ranges: bool,
    accepts_if_range: bool,
) -> None:
    sent = build_request(
        (held, None), beginning(held), known, URL, accepts_ranges=accepts_ranges, accepts_if_range=accepts_if_range
    )
    try:
        answer = interpret_response(status, headers, request=sent, wanted=held, held=held, known=known, url=URL)
    except TransferError:
        return
    if isinstance(answer, AskAgain):
        return

    assert 0 <= answer.first <= held
    assert answer.end is None or answer.end >= answer.first
    if answer.first == held > 0 and status != 416:
        assert answer.proven
    if answer.end is not None and answer.remote.size is not None:
        assert answer.end <= answer.remote.size


@settings(deadline=None, derandomize=True)
@given(SOUP, st.sampled_from([1, HELD]), KNOWN)
def test_bytes_are_joined_unseen_only_by_a_condition_that_held(
    headers: dict[str, str], held: int, known: RemoteVersion | None
) -> None:
    """Never a splice: who asks without If-Range gets to compare something."""
    try:
        sent = RangeRequest(max(0, held - OVERLAP))
        answer = interpret_response(206, headers, request=sent, wanted=held, held=held, known=known, url=URL)
    except TransferError:
        return
    if isinstance(answer, AskAgain):
        return

    assert answer.first < held
    assert answer.first == 0 or not answer.proven


GAPS = st.sampled_from([(0, 1_000), (100_000, 150_000), (120_000, 130_000), (200_000, SIZE), (200_000, None)])


@settings(deadline=None, derandomize=True)
@given(st.sampled_from([200, 206, 416]), SOUP, GAPS, KNOWN, st.booleans(), st.booleans())
@example(206, span(120_000, 129_999, ETag='"tag"'), (120_000, 130_000), TAGGED, True, True)
@example(206, span(120_000, 129_999, ETag='"tag"'), (120_000, 130_000), TAGGED, True, False)
def test_any_headers_for_a_gap_give_an_answer_that_reaches_it_or_a_reason(
    status: int,
    headers: dict[str, str],
    gap: tuple[int, int | None],
    known: RemoteVersion | None,
    accepts_ranges: bool,
    accepts_if_range: bool,
) -> None:
    """A 416 excepted, which is about the end of the archive and not about the gap."""
    sent = build_request(gap, SCATTERED, known, URL, accepts_ranges=accepts_ranges, accepts_if_range=accepts_if_range)
    try:
        answer = interpret_response(
            status, headers, request=sent, wanted=gap[0], held=SCATTERED.total, known=known, url=URL
        )
    except TransferError:
        return
    if isinstance(answer, AskAgain):
        return

    assert answer.first <= gap[0] or status == 416
    assert answer.end is None or answer.end >= answer.first
    if answer.first == gap[0] > 0 and status != 416:
        assert answer.proven
        assert sent.if_range
