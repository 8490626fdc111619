"""Progress in a notebook: one output, which is replaced, and nothing on standard error."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from collgs_async import Outcome, Product, Status
from collgs_async.reporting.notebook import NotebookProgress
from tests.support.clocks import Clock

A, B = Product("A<b>", None), Product("B", None)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, str]]]:
    """What a notebook would hold: the successive contents of each of its outputs."""
    outputs: dict[str, list[dict[str, str]]] = {}

    class Front(ModuleType):
        @staticmethod
        def display(bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
            assert raw
            assert display_id not in outputs
            outputs[display_id] = [bundle]

        @staticmethod
        def update_display(bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
            assert raw
            outputs[display_id].append(bundle)

    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", Front("IPython.display"))
    return outputs


@pytest.fixture
def clock() -> Clock:
    return Clock()


def done(product: Product) -> Outcome:
    return Outcome(product, Status.DOWNLOADED)


def test_a_run_has_one_output_and_leaves_one_line(
    shown: dict[str, Any], capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    progress = NotebookProgress(2, clock=clock)
    for product in (A, B):
        progress.open()
        progress.expect(1)
        progress.started(product, have=0, size=1000)
        clock.now += 1
        progress.advanced(product, 500)
        clock.now += 1
        progress.advanced(product, 500)
        progress.finished(done(product))
        progress.close()
        progress.close()

    first, second = shown.values()
    assert '<progress value="0.500"' in first[1]["text/html"]
    assert "A&lt;b&gt;" in first[1]["text/html"]
    assert "0/1 product " in first[1]["text/plain"]
    for contents in (first, second):
        assert "1/1 product  1.0 kB moved in 00:02" == contents[-1]["text/plain"]
        assert "<span>1/1 product · 1.0 kB moved in 00:02</span>" == contents[-1]["text/html"]
    assert ("", "") == capsys.readouterr()


def test_it_is_replaced_four_times_a_second_at_most(shown: dict[str, Any], clock: Clock) -> None:
    progress = NotebookProgress(1, clock=clock)
    progress.open()
    for _ in range(100):
        progress.advanced(A, 1)
        clock.now += 0.01

    (contents,) = shown.values()
    assert len(contents) <= 5


def test_a_run_without_any_product_has_no_output(shown: dict[str, Any]) -> None:
    progress = NotebookProgress(1)
    progress.open()
    progress.close()

    assert {} == shown


def test_rows_say_what_a_product_waits_for_and_the_last_one_counts_those_without_a_row(
    shown: dict[str, Any], clock: Clock
) -> None:
    progress = NotebookProgress(2, clock=clock)
    progress.open()
    for product in (A, B, Product("C", None)):
        progress.started(product, have=0, size=None)
    progress.delayed(A, "HTTP 503: <busy>\x1b", seconds=5)
    progress.checking(B)
    progress.waiting("the store")
    clock.now += 1
    progress.advanced(B, 1)

    text = next(iter(shown.values()))[-1]["text/html"]
    assert "HTTP 503: &lt;busy&gt;?, again in 00:04" in text
    assert "verifying" in text
    assert "1 more at work" in text
    assert "waiting for the store" in text
