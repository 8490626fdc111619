"""The examples of the documentation, run as a user runs them, against the embedded catalogue."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.login import SignIn
from tests.conftest import level2_scenes
from tests.support.threaded import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.demo.server import DemoServer

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    """A catalogue with a sign-in, and a configuration file that asks it."""
    monkeypatch.setenv("COLLGS_USERNAME", "demo")
    monkeypatch.setenv("COLLGS_PASSWORD", "demo")
    with served(level2_scenes(6), tmp_path / "store", sign_in=SignIn("demo", "demo"), page_maximum=4) as server:
        config = {"base_url": server.url, "parameters": {"parentIdentifier": "S2_MSIL2A"}, "output_directory": "here"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        yield server


def sign_ins(server: DemoServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


def run(name: str, folder: Path) -> list[str]:
    ended = subprocess.run([sys.executable, EXAMPLES / name], cwd=folder, capture_output=True, text=True, timeout=300)
    assert 0 == ended.returncode, ended.stderr
    return ended.stdout.splitlines()


def test_a_geodataframe_and_a_stream_of_stac_items(server: DemoServer, tmp_path: Path) -> None:
    geopandas, pystac = pytest.importorskip("geopandas"), pytest.importorskip("pystac")

    lines = run("geodataframe.py", tmp_path)

    assert pystac is not None
    frame = geopandas.read_file(tmp_path / "scenes.gpkg")
    assert len(lines) >= len(frame) > 0
    assert all(line.startswith("<Item id=S2") for line in lines)
    assert {"identifier", "cloud_cover", "sensing_start", "overlap", "geometry"} <= set(frame.columns)


def test_dask_downloads_in_two_processes_with_a_sign_in_each(server: DemoServer, tmp_path: Path) -> None:
    pytest.importorskip("distributed")

    lines = run("dask_map.py", tmp_path)

    assert 6 == len(lines) == len({line.split()[1] for line in lines})
    assert all(line.startswith("downloaded here/S2") for line in lines)
    assert 6 == len(list((tmp_path / "here").glob("*.zip")))
    assert 2 == sign_ins(server)


def executed(path: Path, folder: Path) -> Any:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    kernel = {"resources": {"metadata": {"path": str(folder)}}, "timeout": 300, "kernel_name": "python3"}
    return nbclient.NotebookClient(notebook, **kernel).execute()


def test_a_notebook_shows_products_progress_and_report_and_nothing_on_standard_error(
    server: DemoServer, tmp_path: Path
) -> None:
    notebook = executed(EXAMPLES / "notebook.ipynb", tmp_path)

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert ["execute_result", "display_data", "execute_result", "execute_result"] == [
        one.output_type for one in outputs
    ]
    products, progress, report, here = (one.data for one in outputs)
    assert "<iframe" in products["text/html"]
    assert progress["text/plain"].startswith("2/2 products")
    assert "<td" in report["text/html"]
    assert here["text/plain"].count(".zip'") == 2
    assert 1 == sign_ins(server)
    assert all(len(one["text/plain"]) < 1000 for one in (products, progress, report, here))


def test_the_examples_are_half_as_long_as_they_had_to_be() -> None:
    """The first needed 35 lines of its own to make rows and items of products."""
    code = [line for line in (EXAMPLES / "geodataframe.py").read_text("utf-8").splitlines() if line.strip()]

    assert len(code) <= 18
