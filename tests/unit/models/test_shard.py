"""Shards: each product is of exactly one, and of the same one on every machine and in every release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Config, ConfigError
from collgs_async.models.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "several-machines.md"


def read_part_of() -> Callable[[str, int], int]:
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.S):
        exec(compile(code, GUIDE.name, "exec"), names)
    function: Callable[[str, int], int] = names["part_of"]
    return function


PART_OF = read_part_of()


@given(st.text(), st.integers(1, 20))
def test_each_product_is_of_exactly_one_shard(identifier: str, count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]

    assert [shards[0].of(identifier)] == [shard for shard in shards if identifier in shard]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_shards_are_disjoint_complete_and_of_much_the_same_size(count: int) -> None:
    names = [f"S2A_MSIL2A_20230601T{number:06}_N0509_R008_T31UGR_20230601T200000" for number in range(count * 200)]

    parts = [{name for name in names if name in Shard(number, count)} for number in range(1, count + 1)]

    assert set(names) == set.union(*parts)
    assert len(names) == sum(map(len, parts))
    assert 120 <= min(map(len, parts)) <= max(map(len, parts)) <= 280


@pytest.mark.parametrize(
    ("identifier", "of_8", "of_1000"),
    [
        ("S2A_MSIL2A_20230601T103631_N0509_R008_T31UGR_20230601T200000", 7, 303),
        ("S1A_IW_GRDH_1SDV_20230601T055131_20230601T055156_048790_05DE1C_4F3A", 3, 243),
        ("S3A_OL_1_EFR____20230601T100000", 5, 157),
        ("ä/ß 衛星", 5, 141),
        ("", 5, 877),
        ("half \ud83d", 2, 682),
    ],
)
def test_the_shard_of_a_product_is_the_same_in_every_release(identifier: str, of_8: int, of_1000: int) -> None:
    assert (of_8, of_1000) == (Shard(1, 8).of(identifier).number, Shard(1, 1000).of(identifier).number)


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 10_000))
def test_the_guide_says_how_others_divide_their_lists_likewise(identifier: str, count: int) -> None:
    assert PART_OF(identifier, count) == Shard(1, count).of(identifier).number


@pytest.mark.parametrize("given_as", ["2/8", " 2 / 8 ", "02/08", Shard(2, 8)])
def test_a_shard_is_read_from_text(given_as: Any) -> None:
    config = Config.create(collection="S2_MSIL2A", shard=given_as)

    assert Shard(2, 8) == config.selection.shard
    assert {"shard": "2/8"} == config.selection.to_dict()


@pytest.mark.parametrize("last", ["1/1", "10000/10000"])
def test_as_many_shards_as_ten_thousand_can_be_had(last: str) -> None:
    assert last == str(Shard.parse(last))


@pytest.mark.parametrize(
    "wrong",
    ["0/8", "9/8", "1/0", "0/0", "1/10001", "2", "2/8/9", "-1/8", "1/+8", "1.0/8", "٢/٨", "", "/", 0.25, [2, 8]],
)
def test_anything_else_is_refused_in_a_line(wrong: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.create(collection="S2_MSIL2A", shard=wrong)

    assert str(caught.value).startswith("shard: expected a part such as 2/8, found ")
    assert "\n" not in str(caught.value)
