"""README and documentation are held to what they say: examples, commands, every flag, and where links lead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.config.options import GROUPS, env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.demo.faults import FAULTS
from tests.conftest import level2_scenes
from tools import make_manual, reference_pages

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))
REFERENCE = "\n".join(
    [
        *(line for group in GROUPS for line in reference_pages.settings(group)),
        *reference_pages.general_flags(),
        *reference_pages.commands(),
    ]
)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """Links within the documentation are checked by its build; those of README, and to other files, are not."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))

    assert [] == [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_the_reference_has_every_setting_with_flag_key_variable_and_default(option: Any) -> None:
    entry = next(part for part in re.split(r"\n\n(?=`-)", REFERENCE) if f"Key `{option.key}`" in part)

    assert f"`{option.flag}" in entry
    assert f"variable `{env_name(option)}`" in entry
    assert option.help[1:].replace("<", "&lt;") in entry
    if option.default is not None:
        assert f"Default: `{str(option.default).lower() if option.is_switch else option.default}`" in entry


def test_the_reference_has_every_flag_of_every_command() -> None:
    flags = {
        flag for command in COMMANDS for action in command_parser(command)._actions for flag in action.option_strings
    }

    assert set() == {flag for flag in flags if f"`{flag}`" not in REFERENCE and f"`{flag} " not in REFERENCE}


@pytest.mark.parametrize("path", make_manual.files(), ids=lambda path: path.name)
def test_the_manual_page_and_the_completions_are_those_of_the_program(path: Path) -> None:
    assert make_manual.files()[path] == path.read_text("utf-8"), "python -m tools.make_manual makes them again"


async def test_the_python_example_runs(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    page = (ROOT / "docs" / "tutorial" / "python.md").read_text("utf-8")
    [example] = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "collgs.lu" in code]
    code = example.replace("https://collgs.lu/catalog/oseo/search", site.server.url)
    code = code.replace("asyncio.run(main())", "")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "python.md", "exec"), names)

    await names["main"]()

    printed = capsys.readouterr().out
    assert all(scene.identifier in printed for scene in scenes)
    assert "0 2 0" in printed
    assert sorted(f"{scene.identifier}.zip" for scene in scenes) == sorted(
        path.name for path in (tmp_path / "luxembourg").iterdir()
    )


def test_the_sample_configuration_is_the_one_shown() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")

    assert "```{literalinclude} ../../config.example.json\n" in page


def test_ci_takes_its_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")

    for name in ("the main job", "the tests"):
        assert re.search(rf"<!-- {name} -->\n```sh\n[^\n]+\n```", README)
        assert f'"{name}"' in script


def test_the_number_of_faults_is_not_boasted() -> None:
    assert len(FAULTS) > 30
