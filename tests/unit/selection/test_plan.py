"""The plan's file: what stands in it, in which order, and what is said of one that is broken or foreign."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from collgs_async.errors import ConfigError, StorageError
from collgs_async.models.product import Product, RawTimes
from collgs_async.models.wish import Wish
from collgs_async.selection.plan import Plan, PlanExclusion, plan_schema
from collgs_async.selection.plan_diff import compare

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


SQUARE = {"type": "Polygon", "coordinates": [[[6, 49], [7, 49], [7, 50], [6, 50], [6, 49]]]}
MADE = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)


def product(name: str, **values: Any) -> Product:
    known: dict[str, Any] = {
        "url": f"https://collgs.lu/repository/{name}.zip",
        "collection": "S2_MSIL2A",
        "raw": RawTimes("2025-06-01T10:30:31.024Z", "2025-06-01T10:30:31.024Z"),
        "footprint": SQUARE,
        "cloud_cover": 12.5,
    }
    return Product(name, **{**known, **values})


def plan(*products: Product, left_out: tuple[PlanExclusion, ...] = (), **values: Any) -> Plan:
    parameters = {"parentIdentifier": "S2_MSIL2A", "timeStart": "2025-06-01T00:00:00.000Z"}
    made = Plan.of("https://collgs.lu/catalog/oseo/search", products, left_out, parameters=parameters)
    return replace(made, created=MADE, **values)


def full() -> Plan:
    return plan(
        product(
            "B",
            raw=RawTimes("2025-06-02T10:30:31.024Z", "2025-06-01T10:30:31.024Z"),
            size=812_345_678,
            orbit_number=51,
            platform="Sentinel-2A",
        ),
        product("A", quicklook="https://collgs.lu/quicklooks/A.jpg", orbit_direction="DESCENDING", overlap=7.5),
        product("é 名", url=None, problem="the entry has no link"),
        left_out=(
            PlanExclusion("Y", "superseded by B", "older baseline"),
            PlanExclusion("X", "tile 31UGR is not wanted"),
        ),
    )


def valid(text: str) -> bool:
    try:
        Draft202012Validator(plan_schema()).validate(json.loads(text))
    except ValidationError:
        return False
    return True


def refusal(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        Plan.read(path)
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


# ------------------------------------------------------------------------------------------------------ the file


def test_the_schema_is_a_right_one() -> None:
    Draft202012Validator.check_schema(plan_schema())


def test_what_is_written_is_read_again_and_is_of_the_published_form(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"

    full().write(path)

    assert valid(path.read_text("utf-8"))
    assert full() == Plan.read(path)
    assert str(full()) == path.read_text("utf-8") == str(Plan.read(path))


def test_an_empty_plan_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"

    plan().write(path)

    assert valid(path.read_text("utf-8"))
    assert plan() == Plan.read(path)


def test_the_file_has_one_product_a_line_the_newest_first_and_says_all_that_is_known() -> None:
    lines = str(full()).splitlines()

    assert [name in line for name, line in zip(["B", "A", "名"], lines[6:9], strict=True)] == [True] * 3
    assert ['"X"' in lines[11], '"Y"' in lines[12]] == [True, True]
    assert {
        "identifier": "A",
        "url": "https://collgs.lu/repository/A.zip",
        "collection": "S2_MSIL2A",
        "start": "2025-06-01T10:30:31.024Z",
        "end": "2025-06-01T10:30:31.024Z",
        "footprint": SQUARE,
        "cloud_cover": 12.5,
        "orbit_direction": "DESCENDING",
        "quicklook": "https://collgs.lu/quicklooks/A.jpg",
        "overlap": 7.5,
    } == json.loads(lines[7].rstrip(","))


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_is_the_plans_own_whatever_the_catalogues_was(chance: random.Random) -> None:
    products = [
        product(name, raw=RawTimes(f"2025-06-0{day}T10:30:31Z")) for day in (1, 2) for name in "ABCD"[day - 1 : day + 1]
    ]
    products.append(product("Z", raw=RawTimes()))
    left_out = [PlanExclusion("A1", "one"), PlanExclusion("A1", "another"), PlanExclusion("B1", "one")]
    shuffled, dropped = chance.sample(products, len(products)), chance.sample(left_out, len(left_out))

    assert str(plan(*products, left_out=tuple(left_out))) == str(plan(*shuffled, left_out=tuple(dropped)))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-06-01T12:30:31.024+02:00", "2025-06-01T10:30:31.024Z"),
        ("2025-06-01T10:30:31", "2025-06-01T10:30:31.000Z"),
        ("some day", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_times_are_in_utc(written: str, read: str | None) -> None:
    one = plan(product("A", raw=RawTimes(written, written))).products[0]

    assert (read, read) == (one.raw.start, one.raw.end)


def test_the_moment_of_the_plan_is_in_utc_too() -> None:
    made = replace(plan(), created=datetime.fromisoformat("2026-11-22T21:30:00+01:00"))

    assert '"created": "2026-11-22T20:30:00Z"' in str(made)


def test_no_password_of_an_address_gets_into_it() -> None:
    secret = product("A", url="https://me:s3cret@collgs.lu/a.zip?at=@", quicklook="http://me:s3cret@collgs.lu/a.jpg")

    text = str(plan(secret))

    assert "s3cret" not in text
    assert '"https://collgs.lu/a.zip?at=@"' in text


@pytest.mark.parametrize(
    "strange",
    [
        {"cloud_cover": float("nan")},
        {"footprint": {"type": "Point", "coordinates": [float("inf"), 0]}},
        {"footprint": {"coordinates": []}},
        {"footprint": {"type": "Point", "coordinates": {1, 2}}},
        {"url": "https://collgs.lu/\ud800.zip", "problem": "\ud800"},
        {"url": "HTTPS://collgs.lu/a.zip"},
    ],
)
def test_what_a_strange_catalogue_says_leaves_the_file_right(tmp_path: Path, strange: dict[str, Any]) -> None:
    path = tmp_path / "plan.json"

    plan(product("A", **strange)).write(path)

    assert valid(path.read_text("utf-8"))
    assert ["A"] == [one.identifier for one in Plan.read(path).products]


def test_a_name_of_half_a_character_does_not_spoil_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"

    plan(product("A\ud800")).write(path)

    assert valid(path.read_text("utf-8"))
    assert ["A\ud800"] == [one.identifier for one in Plan.read(path).products]


def test_a_plan_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(StorageError, match="the plan cannot be written: No space left on device"):
        full().write(path)

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------- broken and foreign ones


def put(*steps: str | int) -> Callable[[dict[str, Any], Any], None]:
    def change(values: Any, value: Any) -> None:
        for step in steps[:-1]:
            values = values[step]
        values[steps[-1]] = value

    return change


BROKEN = [
    (put("version"), "1", 'version: expected 1, found "1"'),
    (put("version"), True, "version: expected 1, found true"),
    (put("created"), "yesterday", 'created: expected a time in UTC such as 2025-08-26T10:30:00Z, found "yesterday"'),
    (put("catalogue"), None, "catalogue: expected an http or https address without user name, found null"),
    (put("query"), [], "query: expected an object, found []"),
    (
        put("query", "selection"),
        {"aoi": "a.json"},
        'query.selection: expected an object, its aoi one of GeoJSON and its ids a list, found {"aoi": "a.json"}',
    ),
    (
        put("query", "selection"),
        {"ids": "ids.txt"},
        'query.selection: expected an object, its aoi one of GeoJSON and its ids a list, found {"ids": "ids.txt"}',
    ),
    (put("query", "parameters"), "x", 'query.parameters: expected an object, found "x"'),
    (put("products"), {}, "products: expected a list, found {}"),
    (put("products", 1), 7, "products[1]: expected an object, found 7"),
    (put("products", 1), {}, "products[1].identifier: expected the name of a product, found nothing"),
    (put("products", 1, "identifier"), "", 'products[1].identifier: expected the name of a product, found ""'),
    (
        put("products", 1, "url"),
        "file:///etc/passwd",
        'products[1].url: expected an http or https address without user name, found "file:///etc/passwd"',
    ),
    (
        put("products", 0, "url"),
        "https://you@collgs.lu/x",
        'products[0].url: expected an http or https address without user name, found "https://you@collgs.lu/x"',
    ),
    (put("products", 0, "size"), -1, "products[0].size: expected a whole number of bytes, found -1"),
    (put("products", 0, "size"), 1.5, "products[0].size: expected a whole number of bytes, found 1.5"),
    (put("products", 0, "footprint"), {}, "products[0].footprint: expected a GeoJSON geometry, found {}"),
    (
        put("products", 0, "start"),
        "2025-06-01",
        'products[0].start: expected a time in UTC such as 2025-08-26T10:30:00Z, found "2025-06-01"',
    ),
    (put("products", 0, "platform"), 2, "products[0].platform: expected text, found 2"),
    (
        put("products", 0, "alternatives"),
        ["https://collgs.lu/x", "x"],
        'products[0].alternatives[1]: expected an http or https address without user name, found "x"',
    ),
    (put("products", 2, "sise"), 1, "products[2].sise: unknown key"),
    (put("left_out", 1, "reason"), None, "left_out[1].reason: expected text, found null"),
    (put("left out"), [], "left out: unknown key"),
]


@pytest.mark.parametrize(("change", "value", "message"), BROKEN, ids=[message[:40] for *_, message in BROKEN])
def test_a_broken_plan_is_one_line_with_its_place_and_is_not_of_the_form_either(
    tmp_path: Path, change: Callable[[dict[str, Any], Any], None], value: Any, message: str
) -> None:
    values = json.loads(str(full()))
    change(values, value)
    text = json.dumps(values)

    assert message == refusal(tmp_path / "plan.json", text)
    assert not valid(text)


@pytest.mark.parametrize(
    "url", ["https://collgs.lu:99999/", "https://collgs.lu:x/", "http://[::1", "http://a\\b/", "http://xn--a/"]
)
@pytest.mark.parametrize("key", ["url", "quicklook"])
def test_an_address_that_nothing_can_be_asked_of_is_refused_before_the_run(tmp_path: Path, key: str, url: str) -> None:
    values = json.loads(str(full()))
    values["products"][1][key] = url

    message = f"products[1].{key}: expected an http or https address without user name, found {json.dumps(url)}"
    assert message == refusal(tmp_path / "plan.json", json.dumps(values))


def test_the_password_of_an_address_is_not_shown(tmp_path: Path) -> None:
    values = json.loads(str(full()))
    values["products"][0]["url"] = "https://you:s3c:r@t@collgs.lu/x"

    message = refusal(tmp_path / "plan.json", json.dumps(values))

    assert message.endswith('without user name, found "https://you:***@collgs.lu/x"')


@pytest.mark.parametrize("key", ["version", "created", "catalogue", "query", "products"])
def test_what_must_be_there_is_missed_by_name(tmp_path: Path, key: str) -> None:
    values = json.loads(str(full()))
    del values[key]

    assert refusal(tmp_path / "plan.json", json.dumps(values)).startswith(f"{key}: expected ")
    assert not valid(json.dumps(values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected a plan, written by `collgs-async plan`, found another JSON file"),
        ('{"type": "FeatureCollection"}', "expected a plan, written by `collgs-async plan`, found another JSON file"),
        ("[]", "expected a JSON object, found []"),
        ("", "expected JSON, found at line 1, column 1: "),
        ('{"format": "collgs-async plan",\n "vers', "expected JSON, found at line 2, column 2: "),
        (b"\xff\xfe", "expected UTF-8 text, found another encoding at byte 0"),
        (
            '{"format": "collgs-async plan", "version": 2, "more": 1}',
            "version: expected 1 or less, found 2: a newer collgs-async wrote it",
        ),
    ],
)
def test_a_foreign_file_is_told_from_a_plan(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refusal(tmp_path / "plan.json", text).startswith(message)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a JSON file, found none: it is missing"):
        Plan.read(tmp_path / "plan.json")


def test_a_query_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    values = json.loads(str(full()))
    values["query"]["parameters"]["box"] = "here"

    message = 'query.parameters.box: expected four numbers W,S,E,N in degrees, found "here"'
    assert message == refusal(tmp_path / "plan.json", json.dumps(values))


def test_further_problems_are_counted(tmp_path: Path) -> None:
    values = json.loads(str(full()))
    for one in values["products"]:
        one["url"] = 1

    assert refusal(tmp_path / "plan.json", json.dumps(values)).endswith("found 1 (and 2 more)")


def test_a_product_that_stands_twice_is_refused(tmp_path: Path) -> None:
    values = json.loads(str(full()))
    values["products"].append(copy.copy(values["products"][0]))

    message = "products[3].identifier: expected each product once, found B at products[0] too"
    assert message == refusal(tmp_path / "plan.json", json.dumps(values))


def test_a_key_of_control_characters_is_shown_as_json(tmp_path: Path) -> None:
    values = json.loads(str(full()))
    values["\x1b[2J"] = 1

    assert '"\\u001b[2J": unknown key' == refusal(tmp_path / "plan.json", json.dumps(values))


# ----------------------------------------------------------------------------------------------------- comparing


def test_equal_plans_do_not_differ() -> None:
    comparison = compare(full(), full())

    assert not comparison
    assert [] == list(comparison.lines())
    assert "0 new, 0 gone, 0 changed, 3 the same" == str(comparison)


def test_new_gone_and_changed_are_told_with_what_is_known_of_them() -> None:
    earlier = plan(
        product("GONE"),
        product("OLDER"),
        product("SAME"),
        product("CHANGED"),
        left_out=(PlanExclusion("BACK", "too cloudy"),),
    )
    elsewhere = {**SQUARE, "coordinates": []}
    changed = product(
        "CHANGED", url="https://collgs.lu/CHANGED.zip", cloud_cover=13, footprint=elsewhere, platform="S2A"
    )
    later = plan(
        product("NEW"),
        product("BACK"),
        product("SAME"),
        changed,
        left_out=(PlanExclusion("OLDER", "superseded by NEW"),),
    )

    comparison = compare(earlier, later)

    assert [
        "+ BACK: left out before: too cloudy",
        "+ NEW",
        "- GONE",
        "- OLDER: still there, and left out: superseded by NEW",
        (
            "~ CHANGED: url https://collgs.lu/repository/CHANGED.zip -> https://collgs.lu/CHANGED.zip, "
            "cloud cover 12.5 -> 13, another footprint, platform unknown -> S2A"
        ),
    ] == list(comparison.lines())
    assert "2 new, 2 gone, 1 changed, 1 the same" == str(comparison)


@pytest.mark.parametrize(("before", "after", "differ"), [(None, 5, False), (5, None, False), (4, 5, True)])
def test_a_size_that_was_not_requested_is_no_change(before: int | None, after: int | None, differ: bool) -> None:
    assert differ == bool(compare(plan(product("A", size=before)), plan(product("A", size=after))))


def test_a_plan_that_was_read_equals_the_one_that_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    full().write(path)

    assert not compare(Plan.read(path), full())


def test_no_file_is_read_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collgs_async.selection.plan.MAX_BYTES", 2_000_000)

    with pytest.raises(ConfigError, match="/dev/zero: expected at most 2 MB of JSON, found more"):
        Plan.read(Path("/dev/zero"))


def test_a_plan_is_shown_in_few_words_and_in_a_table() -> None:
    products = [Product(f"P{number}<", "https://h", cloud_cover=1.5, size=10**9) for number in range(12)]
    shown = Plan.of(
        "https://c",
        products,
        [PlanExclusion("X", "an older one", "older baseline")],
        parameters={"parentIdentifier": "S2"},
        selection={"aoi": {"type": "Point", "coordinates": [1, 2]}},
    )

    assert repr(shown).startswith("<Plan of 12 products, 1 left out, https://c, 20")
    text = shown._repr_html_()
    assert "P0&lt;" in text
    assert "… and 2 more" in text
    assert "12.0 GB of 12 products" in text
    assert "1 older baseline" in text
    assert "an area" in text


WISHES = [
    Wish(bands=("B02", "SCL"), resolutions=(10, 20)),
    Wish(every_resolution=True),
    Wish(metadata_only=True, members=("*_B0[248]_10m.jp2", "é*")),
]


@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_a_wish_is_written_and_read_again(tmp_path: Path, wish: Wish) -> None:
    made = replace(full(), wish=wish)
    made.write(tmp_path / "plan.json")

    assert valid(str(made))
    assert json.loads(str(made))["query"]["parts"] == wish.as_dict()
    assert Plan.read(tmp_path / "plan.json") == made
    assert str(wish).split()[0] in made._repr_html_()


def test_a_plan_of_whole_archives_is_as_those_before_there_were_parts(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(str(full()))

    assert "parts" not in json.loads(str(full()))["query"]
    assert not Plan.read(tmp_path / "plan.json").wish


L2A = "B01 to B09, B8A, B11, B12, AOT, WVP, SCL, TCI, CLD, SNW, PVI, MASKS"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "query.parts: expected an object, found []"),
        ({"band": []}, "query.parts.band: unknown key"),
        ({"bands": "B02"}, 'query.parts.bands: expected a list, found "B02"'),
        ({"bands": [2]}, "query.parts.bands[0]: expected text, found 2"),
        ({"resolution": 10}, "query.parts.resolution: expected a list of metres or all, found 10"),
        (
            {"resolution": [15]},
            "query.parts.resolution: expected a list of resolutions of 10, 20 and 60, or all, found [15]",
        ),
        ({"metadata_only": 1}, "query.parts.metadata_only: expected true or false, found 1"),
        (
            {"members": ["../x"]},
            'query.parts.members: expected a pattern for the path below the top folder, found "../x"',
        ),
        (
            {"bands": ["B10"]},
            f"query.parts.bands: expected bands of S2_MSIL2A ({L2A}), found B10; did you mean B09?",
        ),
        (
            {"bands": ["B02"], "metadata_only": True},
            'query.parts.metadata_only: expected no bands beside it, found ["B02"]',
        ),
    ],
)
def test_a_wrong_wish_is_one_line_with_its_place(tmp_path: Path, parts: Any, message: str) -> None:
    values = json.loads(str(full()))
    values["query"]["parts"] = parts

    assert refusal(tmp_path / "plan.json", json.dumps(values)) == message


def test_another_wish_is_a_difference_of_plans() -> None:
    one, other = replace(full(), wish=Wish(bands=("B02",))), replace(full(), wish=Wish(bands=("B02", "SCL")))

    assert not compare(one, one)
    assert list(compare(one, other).lines()) == ["~ parts of each archive: --bands B02 -> --bands B02,SCL"]
    assert list(compare(full(), one).lines()) == ["~ parts of each archive: all -> --bands B02"]
    assert compare(full(), one)
