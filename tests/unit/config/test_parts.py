"""The settings of parts: from file, variable, flag and Python, and refused before any request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Config, ConfigError, PartsOptions, Plan, Wish
from collgs_async.cli.parser import parse
from collgs_async.cli.settings import read_config, read_plan_settings
from collgs_async.config.loading import load_config
from collgs_async.config.settings import OPTIONS

if TYPE_CHECKING:
    from pathlib import Path

L2A = "B01 to B09, B8A, B11, B12, AOT, WVP, SCL, TCI, CLD, SNW, PVI, MASKS"


def loaded(
    path: Path,
    parts: Any = None,
    *,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
    collection: str = "S2_MSIL2A",
) -> Config:
    file = path / "c.json"
    file.write_text(json.dumps({"parameters": {"parentIdentifier": collection}, "parts": parts or {}}))
    return load_config(file, environ=environ or {}, flags=flags or {})


def test_without_settings_whole_archives_are_wanted() -> None:
    assert not Config().parts.wish
    assert (Config().parts.else_whole, Config().parts.keep_part) == (False, False)


def test_each_source_is_read(tmp_path: Path) -> None:
    from_file = loaded(tmp_path, {"bands": ["b2", "SCL"], "resolution": [20, 10]})
    from_variables = loaded(tmp_path, environ={"COLLGS_BANDS": "b2,SCL", "COLLGS_RESOLUTION": "20,10"})
    from_flags = loaded(tmp_path, {"bands": "B08"}, flags={"parts.bands": "b2,SCL", "parts.resolution": "20,10"})
    from_python = Config.create(collection="S2_MSIL2A", bands=("B2", "scl"), resolution=(20, 10))

    wish = Wish(bands=("B02", "SCL"), resolutions=(20, 10))
    assert [wish] * 4 == [one.parts.wish for one in (from_file, from_variables, from_flags, from_python)]
    assert PartsOptions(resolution="all").wish == Wish(every_resolution=True)
    assert PartsOptions(members="*.xml, *.png", metadata_only=True).wish == Wish(
        metadata_only=True, members=("*.xml", "*.png")
    )


def test_an_empty_flag_takes_a_wish_back(tmp_path: Path) -> None:
    assert not loaded(tmp_path, {"bands": ["B02"]}, flags={"parts.bands": ""}).parts.wish


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"flags": {"parts.bands": "B10"}},
            f"--bands: expected bands of S2_MSIL2A ({L2A}), found B10; did you mean B09?",
        ),
        (
            {"environ": {"COLLGS_BANDS": "SLC"}},
            f"COLLGS_BANDS: expected bands of S2_MSIL2A ({L2A}), found SLC; did you mean SCL?",
        ),
        (
            {"flags": {"parts.bands": "B02"}, "collection": "S1_SAR_GRD"},
            "--bands: expected bands of S1_SAR_GRD (VV, VH, HH, HV, CAL, NOISE, RFI), found B02",
        ),
        (
            {"flags": {"parts.bands": "B08", "parts.resolution": "20"}},
            "--resolution: expected 10 for B08 of S2_MSIL2A, found 20",
        ),
        (
            {"environ": {"COLLGS_RESOLUTION": "15"}},
            'COLLGS_RESOLUTION: expected a list of resolutions of 10, 20 and 60, or all, found "15"',
        ),
        (
            {"flags": {"parts.bands": "B02", "parts.metadata_only": True}},
            '--metadata-only: expected no bands beside it, found ["B02"]',
        ),
        (
            {"flags": {"parts.members": "/etc/*"}},
            '--members: expected a pattern for the path below the top folder, found "/etc/*"',
        ),
    ],
)
def test_what_cannot_be_is_one_line_that_names_its_source(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, **given)

    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"bands": 2}, "parts.bands: expected a list of bands such as B02, SCL, VV or Oa03, found 2"),
        ({"band": ["B02"]}, "parts.band: unknown key; did you mean bands?"),
        ({"resolution": {}}, "parts.resolution: expected a list of resolutions of 10, 20 and 60, or all, found {}"),
        ({"metadata_only": "yes"}, 'parts.metadata_only: expected true or false, found "yes"'),
        ({"members": [1]}, "parts.members: expected a list of patterns such as *_B02_10m.jp2, found [1]"),
        ([1], "parts: expected an object, found [1]"),
    ],
)
def test_wrong_values_of_a_file(tmp_path: Path, parts: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, parts)

    assert caught.value.problems == (f"{tmp_path / 'c.json'}: {problem}",)


def test_python_is_told_by_the_name_of_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"^bands: expected bands of S2_MSIL1C .* found SCL"):
        Client(collection="S2_MSIL1C", bands="SCL")


def test_without_a_collection_any_band_may_be() -> None:
    assert Config.create(bands="B10,VV,Oa03").parts.bands == ("B10", "VV", "Oa03")
    with pytest.raises(ConfigError, match="bands: expected bands such as B02, SCL, VV or Oa03, found B13; did you"):
        Config.create(bands="B13")


def test_the_items_of_lists_are_known_for_completion() -> None:
    items = {option.flag: option.items for option in OPTIONS if option.items}

    assert items["--resolution"] == ("10", "20", "60", "all")
    assert {"B01", "B8A", "SCL", "VV", "IW3", "CAL", "Oa21", "GEO"} < set(items["--bands"])


@pytest.mark.parametrize(
    ("words", "environ", "wish"),
    [
        ([], {}, Wish(bands=("B02", "SCL"), resolutions=(20,))),
        ([], {"COLLGS_BANDS": "B08", "COLLGS_MEMBERS": "*.png"}, Wish(bands=("B02", "SCL"), resolutions=(20,))),
        (["--bands", "B03"], {}, Wish(bands=("B03",), resolutions=(20,))),
        (["--resolution", "60,10"], {"COLLGS_BANDS": "B08"}, Wish(bands=("B02", "SCL"), resolutions=(60, 10))),
        (["--members=*.xml"], {}, Wish(bands=("B02", "SCL"), resolutions=(20,), members=("*.xml",))),
        (["--bands=", "--resolution", ""], {}, Wish()),
        (["--bands=", "--resolution=", "--metadata-only"], {}, Wish(metadata_only=True)),
    ],
)
def test_a_plan_goes_before_file_and_variables_and_a_flag_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], environ: dict[str, str], wish: Wish
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"parameters": {"parentId": "S1_SAR_GRD"}, "parts": {"bands": ["VV"]}}')
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    plan = write_plan(tmp_path, Wish(bands=("B02", "SCL"), resolutions=(20,)))

    _, config = read_plan_settings("--plan", parse(["--plan", "plan.json", *words]), plan)

    assert config.parts.wish == wish


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--resolution", "10"], "--resolution: expected 20 or 60 for SCL of S2_MSIL2A, found 10"),
        (["--bands", "VV"], f"--bands: expected bands of S2_MSIL2A ({L2A}), found VV"),
        (["--metadata-only"], '--metadata-only: expected no bands beside it, found ["B02", "SCL"]'),
    ],
)
def test_flags_that_do_not_go_with_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path, Wish(bands=("B02", "SCL")))

    with pytest.raises(ConfigError) as caught:
        read_plan_settings("--plan", parse(["--plan", "plan.json", *words]), plan)

    assert caught.value.problems == (problem,)


def test_beside_a_plan_of_whole_archives_the_settings_say_which_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLLGS_BANDS", "SCL")

    _, config = read_plan_settings("--plan", parse(["--plan", "plan.json"]), write_plan(tmp_path, Wish()))

    assert config.parts.wish == Wish(bands=("SCL",))


def test_commands_without_archives_are_not_disturbed_by_bands_of_another_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLLGS_BANDS", "SCL")
    args = parse(["quicklooks", "--collection", "S1_SAR_GRD"])

    assert not read_config(args).parts.wish
    with pytest.raises(ConfigError, match=r"^COLLGS_BANDS: expected bands of S1_SAR_GRD"):
        read_config(args, has_parts=True)


def write_plan(folder: Path, wish: Wish) -> Path:
    plan = Plan.of("https://catalogue.test/search", [], parameters={"parentIdentifier": "S2_MSIL2A"}, wish=wish)
    plan.write(folder / "plan.json")
    return folder / "plan.json"
