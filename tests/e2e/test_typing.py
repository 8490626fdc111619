"""The types that users see: the Python examples pass ``mypy --strict`` outside of the repository."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import collgs_async

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md")))
EXAMPLES = [code for page in PAGES for code in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)]

USE = """
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import shapely.geometry

from collgs_async import Action, Client, Config, Outcome, Plan, Product, Products, Query, Report, SearchResults
from collgs_async import DownloadOptions, Selection, SyncClient, sync

point = shapely.geometry.Point(6, 49)
config = Config(
    parameters={"parentIdentifier": "S2_MSIL2A"},
    output_directory="luxembourg",
    selection={"aoi": "lux.geojson"},
    download_options={"limit_rate": "20M", "workers": 8},
    connection={"outage": "15m", "auth_hosts": "a.example,b.example", "ca_file": Path("ca.pem")},
)
other = Config(output_directory=Path("here"), selection=Selection(aoi=point, tile=["31UGR"], relative_orbit=8))
options = DownloadOptions(limit_rate="20M", min_rate=1)

def use(client: SyncClient, product: Product) -> None:
    assert_type(product.sensing_start, datetime | None)
    assert_type(product.raw.start, str | None)
    assert_type([found for found in client.search()], list[Product])
    assert_type(client.search().collect(), Products)
    assert_type(client.catalogue.search().collect(), Products)
    assert_type(client.search().collect().to_geojson(), dict[str, Any])
    assert_type(client.download(product), Outcome)
    assert_type(client.download_all([product], report=Path("report.json")), Report)
    assert_type(client.create_plan(), Plan)
    assert_type(client.local_state(product), Action)
    assert_type([found.size for found in client.fetch_sizes([product])], list[int | None])
    assert_type(sync.search(client.config), Products)
    assert_type(product.footprint, dict[str, Any] | None)
    if product.footprint:
        shapely.geometry.shape(product.footprint)
    shapely.geometry.shape(product)
    products = client.search().collect()
    assert_type(products[:3], Products)
    assert_type(products[0], Product)
    assert_type(len({*products}), int)
    assert_type(products.to_stac(), dict[str, Any])
    assert_type(product.to_stac(), dict[str, Any])
    for outcome in client.download_all(products[:3], report="report.json").outcomes:
        assert_type(outcome.path, Path | None)
        assert_type(outcome.checksum(), str)
    assert_type(sync.download(config, product), Outcome)
    assert_type(sync.download(config, products, report=Path("report.json"), progress=None), Report)
    assert_type(sync.download(config, [product], progress="auto"), Report)
    SyncClient(collection="S2_MSIL2A", aoi=point, output_directory="here", limit_rate="20M", progress=None)

async def use_async(client: Client) -> None:
    assert_type(client.search(), SearchResults)
    assert_type(await client.search().collect(), Products)
    assert_type(await client.download_all(client.search()), Report)
    assert_type(await client.download_all(await client.search().collect()), Report)
    assert_type(await client.download_all(Query.create("S2_MSIL1C", extra={"productType": "S2MSI1C"})), Report)
"""


WRONG = """
from collgs_async import Query, SyncClient

Query.create("S2_MSIL2A", tile="31UGR")
SyncClient().download("S2A_MSIL2A")
SyncClient().choose()
"""


def type_errors(folder: Path, cache: Path) -> list[str]:
    """Type-check the files of a user, and return what mypy says.

    The user's environment finds the package as it does after an editable install: by a path in a ``.pth`` file.
    """
    examples = {f"example{number}.py": code for number, code in enumerate(EXAMPLES)}
    for name, code in {**examples, "use.py": USE, "wrong.py": WRONG}.items():
        (folder / name).write_text(code, "utf-8")
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "editable.pth").write_text("\n".join([str(ROOT), *site.getsitepackages()]) + "\n")
    environ = {name: value for name, value in os.environ.items() if name not in {"MYPYPATH", "PYTHONPATH"}}
    python = f"--python-executable={folder / 'venv' / 'bin' / 'python'}"
    files = [*examples, "use.py", "wrong.py"]
    command = [sys.executable, "-m", "mypy", "--strict", f"--config-file={os.devnull}", python]
    command += [f"--cache-dir={cache}", *files]
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert f"checked {len(files)} source files" in ended.stdout, ended.stdout + ended.stderr
    return [line for line in ended.stdout.splitlines() if "error:" in line]


def test_the_examples_of_the_documentation_and_all_that_a_client_returns_have_types(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """A wrong use is found: otherwise the package would be Any, as it is where its types are not found."""
    said = type_errors(tmp_path, pytestconfig.cache.mkdir("mypy"))  # what did not change is not read again

    wrong = [line for line in said if line.startswith("wrong.py")]
    assert [] == [line for line in said if line not in wrong]
    assert ["[arg-type]", "[arg-type]", "[attr-defined]"] == [line.rpartition(" ")[2] for line in wrong]


def test_the_package_says_that_it_is_typed_and_is_installed_by_a_path() -> None:
    """An editable install by an import hook, the default of setuptools here, is invisible to type checkers."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]

    assert Path(collgs_async.__file__).with_name("py.typed").exists()
    assert "py.typed" in setuptools["package-data"]["collgs_async"]
    assert {"": "."} == setuptools["package-dir"]
