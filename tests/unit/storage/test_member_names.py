"""Hostile names of members never leave the folder, on any system."""

from __future__ import annotations

import os
import tracemalloc
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collgs_async.errors import IntegrityError
from collgs_async.storage.member_names import is_folder, refuse_twins, safe_path, twins

if TYPE_CHECKING:
    from collections.abc import Callable

checked = settings(deadline=None, derandomize=True, max_examples=300)

HOSTILE = {
    "/etc/passwd": "it is absolute",
    "//server/share/x": "it is absolute",
    "../x": "it leaves the folder",
    "P.SAFE/../../x": "it leaves the folder",
    "P.SAFE/..": "it leaves the folder",
    "..": "it leaves the folder",
    "C:x": "it begins with a drive",
    "C:/Windows/x": "it begins with a drive",
    "P.SAFE\\..\\x": "it has a backslash",
    "\\\\server\\share": "it has a backslash",
    "P.SAFE/x:stream": "it has a :",
    "P.SAFE/*": r"it has a \*",
    "a\0b": "not printable",
    "a\nb": "not printable",
    "a\x1b[2Jb": "not printable",
    "a\u202eb": "not printable",
    "a\u200bb": "not printable",
    "a\u2028b": "not printable",
    "a\udcffb": "not printable",
    "": "it is empty",
    ".": "it is empty",
    "./": "it is empty",
    "parts.json": "it is reserved",
    "./PARTS.JSON": "it is reserved",
    "parts.json/x": "it is reserved",
    ".0123456789abcdef.part": "it is reserved",
    "CON": "reserved by Windows",
    "P.SAFE/nul.txt": "reserved by Windows",
    "P.SAFE/aux .xml": "reserved by Windows",
    "P.SAFE/com1/x": "reserved by Windows",
    "P.SAFE/LPT³.txt": "reserved by Windows",
    "P.SAFE./x": "ends with a dot or a space",
    "P.SAFE/x ": "ends with a dot or a space",
    "P.SAFE/...": "ends with a dot or a space",
    "a" * 256: "longer than 255 bytes",
    "ü" * 128: "longer than 255 bytes",
    "a/" * 600 + "b": "longer than 1024 bytes",
}


@pytest.mark.parametrize(("name", "problem"), HOSTILE.items())
def test_a_hostile_name_is_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(IntegrityError, match=problem) as caught:
        safe_path(name)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "S2A_MSIL2A_20250501.SAFE/GRANULE/L2A_T31UGR/IMG_DATA/R10m/T31UGR_B02_10m.jp2",
        "S2A.SAFE/AUX_DATA/AUX_ECMWFT",
        "S2A.SAFE/console.xml",
        "S2A.SAFE/com10.xml",
        "S2A.SAFE/Grüße 你好.txt",
        "S2A.SAFE/rep_info/..data/.hidden",
        "S2A.SAFE/parts.json",
        "a" * 255,
    ],
)
def test_a_usual_name_is_its_own_path(name: str) -> None:
    assert PurePosixPath(name) == safe_path(name)


def test_what_means_the_same_path_is_one() -> None:
    assert PurePosixPath("P.SAFE/a/b") == safe_path("./P.SAFE//a/./b") == safe_path("P.SAFE/a/b/")


LETTERS = st.one_of(
    st.sampled_from(
        ["/", "\\", ".", "..", ":", "C", " ", "\0", "~", "con", "a", "A", "ß", "\udcff", "e\u0301", "\u202e"]
    ),
    st.characters(),
)
NAMES = st.lists(LETTERS, max_size=12).map("".join)


@checked
@given(NAMES)
@example("a/../../b")
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    try:
        path = safe_path(name)
    except IntegrityError:
        return

    folder = Path("/out/P.parts")
    resolved = Path(os.path.normpath(folder / path))
    assert resolved.is_relative_to(folder)
    assert resolved != folder
    windows = PureWindowsPath("C:/out/P.parts")
    assert (windows / str(path)).is_relative_to(windows)
    assert ".." not in PureWindowsPath(str(path)).parts
    assert str(path).isprintable()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["P/a", "P/b"], []),
        (["P/a", "P/a"], ["P/a"]),
        (["P/a", "./P/a"], ["./P/a", "P/a"]),
        (["P/a.xml", "P/A.XML", "P/b"], ["P/A.XML", "P/a.xml"]),
        (["P/STRASSE", "P/straße"], ["P/STRASSE", "P/straße"]),
        (["P/\u00e9", "P/e\u0301"], ["P/e\u0301", "P/\u00e9"]),
        (["P/a", "p/A"], ["P/a", "p/A"]),
        (["P/a", "P/a/b"], ["P/a"]),
        (["P/A", "p/a/b/c"], ["P/A"]),
        (["P/", "P/a/", "P/a/b"], []),
        (["P/a/", "P/a"], ["P/a"]),
        (["P/a", "P/a\0"], []),
        (["P/a", "P/a-b", "P/a b/c", "P/a.x"], []),
        (["P/a", "P/a-b", "P/a/c"], ["P/a"]),
        (["P/a", "P/a", "P/a/c"], ["P/a"]),
        (["a//b/./c", "A/b/C"], ["A/b/C", "a//b/./c"]),
    ],
)
def test_twins_are_found(names: list[str], found: list[str]) -> None:
    assert frozenset(found) == twins(names)
    if found:
        with pytest.raises(IntegrityError, match="is not the only member"):
            refuse_twins(names)
    else:
        refuse_twins(names)


@checked
@given(st.lists(st.text("aAßsSé\u0301e/", min_size=1, max_size=5), max_size=6))
def test_without_twins_each_file_has_a_path_of_its_own_whatever_the_file_system_ignores(names: list[str]) -> None:
    refused = twins(names)
    kept = []
    for name in names:
        try:
            path = safe_path(name)
        except IntegrityError:
            continue
        if name not in refused and not is_folder(name):
            kept.append(path)

    folds: list[Callable[[PurePosixPath], str]] = [
        str,
        lambda path: str(path).lower(),
        lambda path: str(path).upper(),
        lambda path: unicodedata.normalize("NFD", str(path)),
        lambda path: unicodedata.normalize("NFC", str(path)),
        lambda path: unicodedata.normalize("NFD", str(path)).casefold(),
    ]
    for fold in folds:
        assert len(kept) == len(set(map(fold, kept)))
        assert not {fold(path) for path in kept} & {fold(parent) for path in kept for parent in path.parents}


def test_many_deep_names_cost_little_memory() -> None:
    names = ["/".join([f"{number:04}", *"a" * 500]) for number in range(1000)]

    tracemalloc.start()
    assert not twins(names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000
