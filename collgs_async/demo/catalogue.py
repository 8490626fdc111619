"""The catalogue: find, sort and page scenes, and answer search requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from collgs_async.demo.criteria import RequestError
from collgs_async.demo.description import description_reply
from collgs_async.demo.feed import Page, atom_reply, error_reply, json_reply
from collgs_async.demo.query import read_parent, read_search
from collgs_async.demo.responses import html_reply, maintenance
from collgs_async.demo.scenes import COLLECTIONS, make_newcomers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.faults import FaultScript
    from collgs_async.demo.parameters import Limits
    from collgs_async.demo.query import Search
    from collgs_async.demo.responses import Response
    from collgs_async.demo.scenes import Collection, Scene

__all__ = ["FAULTS_KEY", "Catalogue"]

T = TypeVar("T", "Scene", "Collection")

FAULTS_KEY = "catalogue"
"""The key for faults of the catalogue."""


class Catalogue:
    """Search over scenes.

    Parameters
    ----------
    scenes
        All scenes; the list may change during use, and grows by the dialect's newcomers.
    limits
        Page sizes.
    dialect
        Differences from the stock software.
    script
        The faults to apply.
    """

    def __init__(self, scenes: list[Scene], limits: Limits, dialect: Dialect, script: FaultScript) -> None:
        self._scenes = scenes
        self._limits = limits
        self._dialect = dialect
        self._script = script
        self._newcomers_due = dialect.newcomers > 0
        self._found: list[Scene] = []
        self._found_among: list[Scene] = []
        self._found_by: Mapping[str, str] | None = None
        self._deleted: set[str] = set()

    def reply(self, pairs: list[tuple[str, str]], origin: str) -> Response:
        """Answer a search; `pairs` are the decoded query, `origin` is the base of links."""
        as_json = any(key.lower() == "httpaccept" and "json" in text for key, text in pairs)
        try:
            search = read_search(pairs, self._limits, self._dialect)
        except RequestError as error:
            return error_reply(error, origin, self._dialect, as_json=as_json)
        page = self._page(search, origin)
        self._let_newcomers_in(search, page)
        # Faults apply to pages of results only, not to refusals.
        fault, _ = self._script.take(FAULTS_KEY) or (None, 0)
        if fault is not None and fault.name == "catalogue-empty":
            page = replace(page, items=())
        if fault is not None and fault.name == "catalogue-deletion":
            self._deleted.update(item.identifier for item in page.items[:1])
            self._found_by = None
        right = (json_reply if as_json else atom_reply)(page, self._dialect)
        return right if fault is None else self._spoil(fault.name, right, origin)

    def describe(self, pairs: list[tuple[str, str]], origin: str) -> Response:
        """Answer with the description document of the search for collections, or of that in one of them."""
        if self._dialect.description is None:
            return html_reply(404, "Not Found", "There is nothing here.")
        try:
            parent = read_parent(pairs, self._dialect)
        except RequestError as error:
            return error_reply(error, origin, self._dialect, as_json=False)
        return description_reply(parent, origin, self._limits, self._dialect)

    def _spoil(self, name: str, right: Response, origin: str) -> Response:
        if name == "catalogue-503":
            return html_reply(503, "Service Unavailable", "The catalogue is busy.", Retry_After="1")
        if name == "catalogue-html":
            return maintenance()
        if name == "catalogue-500":
            error = RequestError("Failed to read from the store", None, 500)
            return error_reply(error, origin, self._dialect, as_json=True)
        if name != "catalogue-cut":
            return right
        half = len(right.body) // 2
        return replace(right, headers={**right.headers, "Content-Length": str(half)}, keep=half)

    def _page(self, search: Search, origin: str) -> Page:
        first = search.start_index - 1
        found: Sequence[Scene | Collection] = (
            _in_order(collection for collection in COLLECTIONS.values() if search.matches(collection))
            if search.parent is None
            else self._find(search)
        )
        return Page(search, found[first : first + search.count], len(found), origin)

    def _find(self, search: Search) -> list[Scene]:
        """Find products, newest first; the result is cached, since the next page needs it again."""
        if self._found_by != search.filters() or self._found_among != self._scenes:
            self._found_by, self._found_among = search.filters(), list(self._scenes)
            scenes = (scene for scene in self._scenes if scene.collection == search.parent)
            listed = (scene for scene in scenes if scene.identifier not in self._deleted)
            self._found = _in_order(scene for scene in listed if search.matches(scene))
        return self._found

    def _let_newcomers_in(self, search: Search, page: Page) -> None:
        if self._newcomers_due and search.parent is not None and page.items:
            self._newcomers_due = False
            self._scenes.extend(make_newcomers(self._find(search)[0], self._dialect.newcomers))


def _in_order(items: Iterable[T]) -> list[T]:
    """Sort by start, the latest first, then by name: the fixed order of GeoServer."""
    return sorted(items, key=lambda item: (-item.start.timestamp(), item.identifier))
