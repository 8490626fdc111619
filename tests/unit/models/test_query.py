from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.query import Query, canonical_parameter

SAMPLE = Path(__file__).parents[3] / "config.example.json"
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def parsed(**parameters: object) -> Query:
    return Query.parse({"parentIdentifier": "S2_MSIL1C", **parameters})


def problems_of(**parameters: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parsed(**parameters)
    return caught.value.problems


def test_the_sample_is_unchanged_on_the_wire() -> None:
    parameters = json.loads(SAMPLE.read_text())["parameters"]
    query = Query.parse(parameters)
    own = {"count", "httpAccept"}
    assert {key: value for key, value in parameters.items() if key not in own} == query.parameters
    assert (query.count, query.start_index, query.notes, query.collection) == (50, 1, (), "S2_MSIL1C")


def test_without_a_count_all_products_are_meant() -> None:
    assert None is parsed().count
    assert None is parsed(count=None).count


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        (["A", 2, True], "A,2,true"),
        ("a b&c=d", "a b&c=d"),
        (" kept ", " kept "),
    ],
)
def test_an_unknown_parameter_passes_as_it_is(written: object, sent: str) -> None:
    assert {"parentIdentifier": "S2_MSIL1C", "swath9": sent} == parsed(swath9=written).parameters


@pytest.mark.parametrize("nothing", [None, "", "  ", [], [""]])
def test_what_holds_nothing_is_not_sent(nothing: object) -> None:
    assert parsed(platform=nothing).parameters == {"parentIdentifier": "S2_MSIL1C"}


def test_known_keys_are_sent_in_canonical_case() -> None:
    query = Query.parse({"PARENTIDENTIFIER": "X", "orbitnumber": 8, "BOX": "1,2,3,4", "Odd": "y"})
    assert query.parameters == {"parentIdentifier": "X", "orbitNumber": "8", "box": "1,2,3,4", "Odd": "y"}
    assert canonical_parameter("CLOUDCOVER") == "cloudCover"


def test_the_old_name_of_the_collection_is_understood() -> None:
    query = Query.parse({"parentId": "S2_MSIL2A"})
    assert query.parameters == {"parentIdentifier": "S2_MSIL2A"}
    assert query.notes == ("parentId is read as parentIdentifier",)


def test_the_old_name_of_the_collection_gives_way_to_the_new_one() -> None:
    query = parsed(parentId="S2_MSIL2A")
    assert query.parameters == {"parentIdentifier": "S2_MSIL1C"}
    assert query.notes == ("parentId is left out: parentIdentifier is given",)


def test_max_records_is_read_as_count_where_count_is_missing() -> None:
    query = parsed(maxRecords="25")
    assert (query.count, query.notes) == (25, ("maxRecords is read as count",))


def test_max_records_is_dropped_where_count_is_given() -> None:
    query = parsed(maxRecords=25, count=3)
    assert (query.count, query.notes) == (3, ("maxRecords is left out: count is given",))
    assert "maxRecords" not in query.parameters


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("1,2,3,4", "1,2,3,4"),
        (" 1.50 , 2 ,3, 4.0", "1.50,2,3,4.0"),
        ([-73.5, 45, -73, 46.25], "-73.5,45,-73,46.25"),
        (("1", "2", "3", "4"), "1,2,3,4"),
        ("170,33,-117,34", "170,33,-117,34"),
        ("-180,-90,180,90", "-180,-90,180,90"),
        ("5,5,5,5", "5,5,5,5"),
    ],
)
def test_a_box_keeps_the_digits_of_the_user(written: object, sent: str) -> None:
    query = parsed(box=written)
    assert (sent, ()) == (query.parameters["box"], query.notes)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("170,-10,190.1,10.50", "170,-10,-169.9,10.50"),
        ("-190.1,0,-170,1", "169.9,0,-170,1"),
        ("185,0,200,1", "-175,0,-160,1"),
        ("0,0,360,1", "-180,0,180,1"),
        ("-200,-5,200,5", "-180,-5,180,5"),
        ("350,0,-350,1", "-10,0,10,1"),
    ],
)
def test_longitudes_are_brought_within_half_a_turn_and_it_is_said(written: str, sent: str) -> None:
    query = parsed(box=written)
    assert sent == query.parameters["box"]
    assert (f"box {written} is brought within ±180°: sent as {sent}",) == query.notes


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("2025-04-01", "2025-04-01T00:00:00.000Z"),
        ("2025-04-01T10:30", "2025-04-01T10:30:00.000Z"),
        ("2025-04-01T10:30:00Z", "2025-04-01T10:30:00.000Z"),
        ("2025-04-01T00:30:00+02:00", "2025-03-31T22:30:00.000Z"),
        ("2025-04-01T10:30:00.123456Z", "2025-04-01T10:30:00.123Z"),
        (date(2025, 4, 1), "2025-04-01T00:00:00.000Z"),
        (datetime(2025, 4, 1, 12), "2025-04-01T12:00:00.000Z"),
        (datetime(2025, 4, 1, 12, tzinfo=UTC), "2025-04-01T12:00:00.000Z"),
        (datetime(2025, 4, 1, 12, tzinfo=timezone(timedelta(hours=-3))), "2025-04-01T15:00:00.000Z"),
    ],
)
def test_a_start_is_sent_in_utc_with_milliseconds(written: object, sent: str) -> None:
    query = parsed(timeStart=written)
    assert (sent, ()) == (query.parameters["timeStart"], query.notes)


def test_a_date_alone_as_the_end_means_the_end_of_that_day_and_it_is_said() -> None:
    query = parsed(timeStart="2025-08-26", timeEnd="2025-08-26")
    assert query.parameters["timeStart"] == "2025-08-26T00:00:00.000Z"
    assert query.parameters["timeEnd"] == "2025-08-26T23:59:59.999Z"
    assert query.notes == ("timeEnd 2025-08-26 means the end of that day: sent as 2025-08-26T23:59:59.999Z",)


def test_a_whole_time_as_the_end_keeps_its_meaning() -> None:
    query = parsed(timeEnd="2025-08-26T00:00:00.000Z")
    assert (query.parameters["timeEnd"], query.notes) == ("2025-08-26T00:00:00.000Z", ())


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("[0,47]", "[0,47]"),
        ("]0,20[", "]0,20["),
        ("[0, 20[", "[0,20["),
        ("]0,20]", "]0,20]"),
        ("[30", "[30"),
        ("]30", "]30"),
        ("20]", "20]"),
        ("20[", "20["),
        ([0, 20], "[0,20]"),
        ((10, 10), "[10,10]"),
    ],
)
def test_a_cloud_cover_is_an_interval(written: object, sent: str) -> None:
    assert sent == parsed(cloudCover=written).parameters["cloudCover"]


@pytest.mark.parametrize(
    ("written", "sent"),
    [("ascending", "ASCENDING"), ("Descending,ASCENDING", "DESCENDING,ASCENDING"), (["ascending"], "ASCENDING")],
)
def test_orbit_directions_are_sent_in_upper_case(written: object, sent: str) -> None:
    assert sent == parsed(orbitDirection=written).parameters["orbitDirection"]


@pytest.mark.parametrize("kind", ["json", "application/json", "application/geo+json"])
def test_any_name_of_json_is_accepted_and_none_is_sent(kind: str) -> None:
    assert parsed(httpAccept=kind).parameters == {"parentIdentifier": "S2_MSIL1C"}


def test_a_start_index_is_understood_and_not_sent_from_here() -> None:
    query = parsed(startIndex="51")
    assert (query.start_index, query.parameters) == (51, {"parentIdentifier": "S2_MSIL1C"})


BOX = "parameters.box: expected "
CLOUD = "parameters.cloudCover: expected "
TIME = "an ISO 8601 date or time such as 2025-08-26 or 2025-08-26T10:30:00Z, or 30d, 2w, yesterday, today"
WHOLE = "expected a whole number, at least 1, found"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("box", "1,2,3", BOX + 'four numbers W,S,E,N in degrees, found "1,2,3"'),
        ("box", "1,2,3,4,EPSG:4326", BOX + 'four numbers W,S,E,N in degrees, found "1,2,3,4,EPSG:4326"'),
        ("box", "1,2,3,north", BOX + 'four numbers W,S,E,N in degrees, found "1,2,3,north"'),
        ("box", [1, 2, True, 4], BOX + "four numbers W,S,E,N in degrees, found [1, 2, true, 4]"),
        ("box", "nan,2,3,4", BOX + 'four numbers W,S,E,N in degrees, found "nan,2,3,4"'),
        ("box", "1,2,1e999,4", BOX + 'four numbers W,S,E,N in degrees, found "1,2,1e999,4"'),
        ("box", 5, BOX + "four numbers W,S,E,N in degrees, found 5"),
        ("box", "1,46,3,45", BOX + 'south below north (W,S,E,N), found "1,46,3,45"'),
        ("box", "1,2,3,91", BOX + 'latitudes from -90 to 90, found "1,2,3,91"; longitude comes first'),
        ("box", "1,2,361,3", BOX + 'longitudes from -360 to 360, found "1,2,361,3"'),
        ("timeStart", "tomorrow", f'parameters.timeStart: expected {TIME}, found "tomorrow"'),
        ("timeEnd", 20250826, f"parameters.timeEnd: expected {TIME}, found 20250826"),
        ("timeEnd", "2025-02-30", f'parameters.timeEnd: expected {TIME}, found "2025-02-30"'),
        (
            "timeStart",
            "0001-01-01T00:00:00+14:00",
            f'parameters.timeStart: expected {TIME}, found "0001-01-01T00:00:00+14:00"',
        ),
        (
            "cloudCover",
            "0,20",
            CLOUD + 'an interval such as [0,20], found 0,20, which the catalogue would read as "0 or 20"',
        ),
        (
            "cloudCover",
            20,
            CLOUD + 'an interval such as [0,20], found 20, which the catalogue would read as "exactly 20"',
        ),
        ("cloudCover", "low", CLOUD + 'an interval such as [0,20], ]0,20[, [30 or 20], found "low"'),
        ("cloudCover", [0], CLOUD + "an interval such as [0,20], ]0,20[, [30 or 20], found [0]"),
        ("cloudCover", [0, "x"], CLOUD + 'an interval such as [0,20], ]0,20[, [30 or 20], found [0, "x"]'),
        ("cloudCover", [0, 101], CLOUD + "an interval within 0 to 100 percent, least first, found [0, 101]"),
        ("cloudCover", "[-1,5]", CLOUD + 'an interval within 0 to 100 percent, least first, found "[-1,5]"'),
        ("cloudCover", "[20,5]", CLOUD + 'an interval within 0 to 100 percent, least first, found "[20,5]"'),
        (
            "orbitDirection",
            "UP",
            'parameters.orbitDirection: expected ASCENDING or DESCENDING, found "UP"',
        ),
        ("count", 0, f"parameters.count: {WHOLE} 0"),
        ("count", True, f"parameters.count: {WHOLE} true"),
        ("count", 1.5, f"parameters.count: {WHOLE} 1.5"),
        ("count", "many", f'parameters.count: {WHOLE} "many"'),
        ("maxRecords", -1, f"parameters.count: {WHOLE} -1"),
        ("startIndex", "0", f'parameters.startIndex: {WHOLE} "0"'),
        ("httpAccept", "atom", 'parameters.httpAccept: expected json, found "atom"'),
        (
            "platform",
            {"a": 1},
            'parameters.platform: expected text, a number, true, false or a list of these, found {"a": 1}',
        ),
        (
            "platform",
            [float("inf")],
            "parameters.platform: expected text, a number, true, false or a list of these, found Infinity",
        ),
        ("platform", "a\nb", 'parameters.platform: expected text without control characters, found "a\\nb"'),
        ("platform", "\ud800", 'parameters.platform: expected text without control characters, found "\\ud800"'),
        ("parentIdentifier", 5, "parameters.parentIdentifier: expected a collection such as S2_MSIL1C, found 5"),
        ("BOX", "1,2", BOX + 'four numbers W,S,E,N in degrees, found "1,2"'),
        ("", "x", 'parameters: expected the name of a search parameter, found ""'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(key: str, value: object, line: str) -> None:
    assert (line,) == problems_of(**{key: value})


@pytest.mark.parametrize("parameters", [{}, {"parentIdentifier": ""}, {"parentIdentifier": None}, {"uid": "X"}])
def test_a_search_without_a_collection_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        Query.parse(parameters)
    assert caught.value.problems == (
        (
            "parameters.parentIdentifier: expected a collection such as S2_MSIL1C; "
            "without it the catalogue would search its collections"
        ),
    )


def test_an_end_before_the_start_is_refused() -> None:
    assert problems_of(timeStart="2025-08-26", timeEnd="2025-08-25") == (
        (
            "parameters.timeEnd: expected a time not before the start, 2025-08-26T00:00:00.000Z, "
            "found 2025-08-25T23:59:59.999Z"
        ),
    )


def test_two_spellings_of_one_key_are_refused() -> None:
    assert problems_of(box="1,2,3,4", Box="5,6,7,8") == (
        "parameters.Box: expected box once, found it in two spellings",
    )


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Query.parse({"box": "1", "count": 0, "cloudCover": "x"})
    names = [line.partition(":")[0] for line in caught.value.problems]
    assert names == ["parameters.box", "parameters.count", "parameters.cloudCover", "parameters.parentIdentifier"]


def test_library_users_ask_with_python_values() -> None:
    query = Query.create(
        "S2_MSIL2A",
        bbox=(5.7, 49.4, 6.5, 50.2),
        start=date(2025, 4, 1),
        end=datetime(2025, 4, 2, 12, tzinfo=UTC),
        cloud_cover=(0, 20),
        count=7,
        extra={"platform": "Sentinel-2A", "startIndex": 3},
    )
    assert query.parameters == {
        "platform": "Sentinel-2A",
        "parentIdentifier": "S2_MSIL2A",
        "box": "5.7,49.4,6.5,50.2",
        "timeStart": "2025-04-01T00:00:00.000Z",
        "timeEnd": "2025-04-02T12:00:00.000Z",
        "cloudCover": "[0,20]",
    }
    assert (query.count, query.start_index) == (7, 3)


def test_what_library_users_leave_out_is_not_sent() -> None:
    assert Query({"parentIdentifier": "S1_SAR_GRD"}) == Query.create("S1_SAR_GRD")


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    wrong: Any = {"tile": "31UGR", "productType": "S2MSI1C", "bboxx": (1, 2, 3, 4), "count": "many"}
    names = "expected one of bbox, start, end, cloud_cover, count, extra, found an unknown name"

    with pytest.raises(ConfigError) as caught:
        Query.create("S2_MSIL1C", **wrong)

    assert (
        f"tile: {names}; tile is a criterion of Selection",
        f'productType: {names}; the catalogue\'s own parameters go into extra={{"productType": ...}}',
        f"bboxx: {names}",
    ) == caught.value.problems[:3]
    assert caught.value.problems[3].startswith("parameters.count: ")


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(ConfigError, match=r"^parameters\.box: expected it once, found it in extra as well$"):
        Query.create("S2_MSIL1C", bbox=(1, 2, 3, 4), extra={"BOX": "1,2,3,4"})


def test_any_other_parameter_is_sent_as_it_is() -> None:
    query = Query.create("S2_MSIL1C", extra={"producttype": "S2MSI1C", "house": 7})

    assert {"parentIdentifier": "S2_MSIL1C", "productType": "S2MSI1C", "house": "7"} == query.parameters


@pytest.mark.parametrize(
    ("value", "text"),
    [("8", '"8"'), (8, "8"), (None, "null"), ("é", '"é"'), ("a\u2028b", '"a\\u2028b"'), ({1, 2}, '"{1, 2}"')],
)
def test_a_found_value_is_shown_on_one_line(value: object, text: str) -> None:
    assert text == quote_value(value)


def test_a_long_found_value_is_cut() -> None:
    assert len(quote_value("x" * 500)) == 81


def test_a_number_too_long_to_print_is_named_by_its_type() -> None:
    assert quote_value(10**5000) == "a value of type int"
    assert (f"parameters.count: {WHOLE} a value of type int",) == problems_of(count=10**5000)


HOSTILE_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text("[],.0123456789eE+- TZ:")
    | st.dates()
    | st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=14))])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
HOSTILE_KEYS = st.sampled_from(
    ["box", "timeStart", "timeEnd", "cloudCover", "orbitDirection", "count", "startIndex", "maxRecords", "parentId"]
) | st.text(st.characters())


@given(st.dictionaries(HOSTILE_KEYS, HOSTILE_VALUES, max_size=5))
def test_hostile_values_make_a_sound_query_or_a_config_error(parameters: dict[str, object]) -> None:
    problems: tuple[str, ...] = ()
    query = None
    try:
        query = Query.parse({"parentIdentifier": "X", **parameters})
    except ConfigError as error:
        problems = error.problems
    assert bool(problems) == (query is None)
    assert all(len(line.splitlines()) == 1 for line in problems)
    if query:
        assert all(key and value and value.encode() for key, value in query.parameters.items())
        assert query.start_index >= 1
        times = [query.parameters[key] for key in ("timeStart", "timeEnd") if key in query.parameters]
        assert all(WIRE_TIME.fullmatch(time) for time in times)


@given(st.tuples(*[st.floats(-360, 360), st.floats(-90, 90)] * 2))
def test_every_box_that_is_sent_is_within_the_world(box: tuple[float, float, float, float]) -> None:
    west, south, east, north = box
    sent = parsed(box=[west, min(south, north), east, max(south, north)]).parameters["box"]
    assert all(abs(float(longitude)) <= 180 for longitude in sent.split(",")[::2])
    assert [min(south, north), max(south, north)] == [float(latitude) for latitude in sent.split(",")[1::2]]


@given(st.text("0123456789-T:.Z+ ", max_size=30))
def test_what_is_parsed_once_parses_to_the_same_again(text: str) -> None:
    try:
        first = parsed(timeStart=text)
    except ConfigError:
        return
    assert first.parameters == Query.parse(first.parameters).parameters
