"""Where the files of products lie: found by name in any folder, the archive before what is less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.storage.folder_index import FolderIndex, has_layout, mark_layout, unmark_layout

if TYPE_CHECKING:
    from pathlib import Path


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


@pytest.mark.parametrize(
    ("paths", "preferred", "expected"),
    [
        (["x.zip"], "a", ""),
        (["b/c/x.zip"], "a", "b/c"),
        (["a/x.zip", "b/x.zip"], "b", "b"),
        (["a/x.zip", "b/x.zip"], "c", "a"),
        (["a/x.zip.part", "b/x.zip"], "a", "b"),
        (["a/x.zip.part", "b/x.parts/parts.json"], "b", "a"),
        (["b/x.parts/parts.json"], "a", "b"),
        (["b/x.parts/x.zip"], "a", "b"),
        (["b/xx.zip", "b/x.zip.part.lease", "b/x.zip.part.json", "b/x"], "a", None),
        ([".hidden/x.zip", ".collgs/old/x.zip"], "a", None),
        ([], "a", None),
    ],
)
def test_what_is_found(tmp_path: Path, paths: list[str], preferred: str, expected: str | None) -> None:
    touch(tmp_path, *paths)

    assert FolderIndex(tmp_path).find("x.zip", preferred) == expected


def test_a_folder_that_is_missing_has_nothing(tmp_path: Path) -> None:
    assert FolderIndex(tmp_path / "no").find("x.zip", "") is None


@given(st.dictionaries(st.integers(0, 400), st.sampled_from(["", "a", "a/b", "c"]), max_size=400))
def test_any_number_is_found_where_it_lies(tmp_path_factory: pytest.TempPathFactory, places: dict[int, str]) -> None:
    folder = tmp_path_factory.mktemp("index")
    touch(folder, *(f"{where}/p{number}.zip".lstrip("/") for number, where in places.items()))

    index = FolderIndex(folder)

    assert {number: index.find(f"p{number}.zip", "") for number in range(401)} == {
        number: places.get(number) for number in range(401)
    }


def test_a_mark_is_set_once_and_removed(tmp_path: Path) -> None:
    assert not has_layout(tmp_path)
    mark_layout(tmp_path, "{year}")
    mark_layout(tmp_path, "{month}")
    assert has_layout(tmp_path)
    assert (tmp_path / ".collgs" / "layout").read_text() == "{year}\n"
    unmark_layout(tmp_path)
    unmark_layout(tmp_path)
    assert not has_layout(tmp_path)


def test_a_mark_that_cannot_be_set_is_no_error(tmp_path: Path) -> None:
    (tmp_path / ".collgs").write_text("a file")

    mark_layout(tmp_path, "{year}")

    assert not has_layout(tmp_path)
