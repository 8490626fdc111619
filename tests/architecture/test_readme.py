"""The README is held to what it says: its example, its table of settings, its commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.demo.faults import FAULTS
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def options_table() -> str:
    """The table of settings, from the one table that makes them all."""
    rows = ["| key | flag | variable | meaning | default |", "| --- | --- | --- | --- | --- |"]
    for option in OPTIONS:
        value = f" {option.metavar}" if option.metavar else ""
        default = (
            "" if option.default is None else f"`{str(option.default).lower() if option.is_switch else option.default}`"
        )
        short = f"`{option.short}`, " if option.short else ""
        flag = (
            f"`{option.flag}`, `--no-{option.flag[2:]}`"
            if option.is_switch
            else f"{short}`{option.flag}{value}`".replace("|", "\\|")
        )
        meaning = option.help.replace("|", "\\|")
        rows.append(f"| `{option.key}` | {flag} | `{env_name(option)}` | {meaning} | {default} |")
    return "\n".join(rows)


def test_the_table_of_settings_is_that_of_the_program() -> None:
    found = re.search(r"<!-- options: .*? -->\n(.*?)\n<!-- end of options -->", README, re.S)

    assert found is not None
    assert options_table() == found[1]


async def test_the_python_example_runs(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    example = re.search(r"```python\n(.*?)```", README, re.S)
    assert example is not None
    code = example[1].replace("https://collgs.lu/catalog/oseo/search", site.server.url)
    code = code.replace("asyncio.run(main())", "")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)

    await names["main"]()

    printed = capsys.readouterr().out
    assert all(scene.identifier in printed for scene in scenes)
    assert "0 2 0" in printed
    assert sorted(f"{scene.identifier}.zip" for scene in scenes) == sorted(
        path.name for path in (tmp_path / "luxembourg").iterdir()
    )


def test_the_sample_configuration_is_the_one_shown() -> None:
    import json

    shown = re.search(r"```json\n(\{\n  \"base_url\".*?\n\})\n```", README, re.S)

    assert shown is not None
    assert json.loads((ROOT / "config.example.json").read_text("utf-8")) == json.loads(shown[1])


def test_ci_takes_its_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")

    for name in ("the main job", "the tests"):
        assert re.search(rf"<!-- {name} -->\n```sh\n[^\n]+\n```", README)
        assert f'"{name}"' in script


def test_every_flag_of_the_command_is_in_the_readme() -> None:
    flags = {
        flag for command in COMMANDS for action in command_parser(command)._actions for flag in action.option_strings
    }

    assert set() == {flag for flag in flags if f"`{flag}" not in README and f" {flag}" not in README}


def test_the_number_of_faults_is_not_boasted() -> None:
    assert len(FAULTS) > 30
