"""The file for Prometheus: read back by its grammar, whatever the labels are; a failure to write fails nothing."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.mirror.metrics import Metrics, write_metrics

if TYPE_CHECKING:
    from pathlib import Path

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})\{{((?:{NAME}="(?:[^"\\\n]|\\["\\n])*",?)*)\}} (-?[0-9]+(?:\.[0-9]+)?)')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"')

EVERYTHING = Metrics(
    watch="default",
    exit_code=3,
    ended=1_800_000_000.25,
    last_success=1_799_900_000.0,
    products={"held": 12, "failed": 1},
    held_bytes=10**13,
    run_bytes=0,
    oldest_check=1_790_000_000.0,
    oldest_listing=1_799_000_000.0,
    free_bytes=5,
)


def parse(text: str) -> dict[str, float]:
    """Read a file as promtool does: each sample after its HELP and TYPE, all of a metric together, no sample twice."""
    assert text.endswith("\n")
    described: list[str] = []
    samples: dict[str, float] = {}
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert re.fullmatch(NAME, name)
            assert name not in described
            described.append(name)
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {described[-1]} gauge"
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == described[-1]
            labels = {name: unescape(value) for name, value in LABEL.findall(found[2])}
            key = found[1] + repr(sorted(labels.items()))
            assert key not in samples
            samples[key] = float(found[3])
    return samples


def unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def test_all_metrics_have_their_names_and_values(tmp_path: Path) -> None:
    write_metrics(path := tmp_path / "collgs.prom", EVERYTHING)

    watch = "[('watch', 'default')]"
    assert parse(path.read_text()) == {
        f"collgs_last_success_timestamp_seconds{watch}": 1_799_900_000.0,
        f"collgs_last_end_timestamp_seconds{watch}": 1_800_000_000.25,
        f"collgs_exit_code{watch}": 3,
        f"collgs_held_bytes{watch}": 10**13,
        f"collgs_run_bytes{watch}": 0,
        f"collgs_oldest_check_timestamp_seconds{watch}": 1_790_000_000.0,
        f"collgs_oldest_listing_timestamp_seconds{watch}": 1_799_000_000.0,
        f"collgs_free_bytes{watch}": 5,
        "collgs_products[('state', 'failed'), ('watch', 'default')]": 1,
        "collgs_products[('state', 'held'), ('watch', 'default')]": 12,
    }


@given(st.text(st.characters()), st.text(st.characters(), min_size=1))
def test_any_name_is_a_label(watch: str, state: str) -> None:
    text = "".join(f"{line}\n" for line in Metrics(watch, 0, 1.0, products={state: 7}).lines())

    expected = [("state", replaced(state)), ("watch", replaced(watch))]
    assert parse(text)[f"collgs_products{expected!r}"] == 7


def replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_others_may_read_it_and_nothing_is_left_beside(tmp_path: Path) -> None:
    path = tmp_path / "collgs.prom"
    write_metrics(path, EVERYTHING)
    write_metrics(path, Metrics("default", 0, 2.0))
    (tmp_path / "other").touch()

    assert "exit_code{" in path.read_text()
    assert "products" not in path.read_text()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(one.name for one in tmp_path.iterdir()) == ["collgs.prom", "other"]


@pytest.mark.parametrize("kind", ["missing", "folder", "another file"])
def test_what_cannot_be_written_is_a_warning(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "no" / "collgs.prom" if kind == "missing" else tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "another file":
        path.write_text("precious")

    with caplog.at_level(logging.WARNING):
        write_metrics(path, EVERYTHING)

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    assert kind != "another file" or path.read_text() == "precious"
