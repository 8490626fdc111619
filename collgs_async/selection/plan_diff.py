"""Compare two plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.packed import by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.models.product import Product
    from collgs_async.selection.plan import Plan, PlanExclusion

__all__ = ["Change", "Comparison", "compare"]

_COMPARED: Final = (
    "url",
    "size",
    "start",
    "end",
    "cloud_cover",
    "footprint",
    "collection",
    "platform",
    "orbit_direction",
    "orbit_number",
    "problem",
)
_TOO_LONG_TO_SHOW: Final = frozenset({"footprint"})
_NOT_ALWAYS_ASKED: Final = frozenset({"size"})
"""A missing size is no change, since plans may be made without sizes."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference in one product.

    Attributes
    ----------
    details
        What changed, or what is known about why it is new or gone; may be empty.
    """

    identifier: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences between two plans, each list in the order of the plan that has the product.

    Attributes
    ----------
    new
        Products of the later plan only.
    gone
        Products of the earlier plan only.
    changed
        Products of both that differ.
    same
        The number of unchanged products.
    parts
        How the parts of each archive that are wanted differ; empty: they are the same.
    """

    new: tuple[Change, ...]
    gone: tuple[Change, ...]
    changed: tuple[Change, ...]
    same: int
    parts: str = ""

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.changed or self.parts)

    def __str__(self) -> str:
        return f"{len(self.new)} new, {len(self.gone)} gone, {len(self.changed)} changed, {self.same} the same"

    def lines(self) -> Iterator[str]:
        """Yield one line per difference, marked as in ``diff``: + is new, - is gone, ~ has changed."""
        if self.parts:
            yield f"~ parts of each archive: {self.parts}"
        for mark, changes in (("+", self.new), ("-", self.gone), ("~", self.changed)):
            for change in changes:
                yield f"{mark} {change.identifier}{f': {change.details}' if change.details else ''}"


def compare(earlier: Plan, later: Plan) -> Comparison:
    """Return which products are new, gone or changed in the later plan."""
    before, after = by_name(earlier.products), by_name(later.products)
    unwanted_before, unwanted_after = by_name(earlier.left_out), by_name(later.left_out)
    new: list[Change] = []
    changed: list[Change] = []
    for name, product in after.items():
        if (old := before.get(name)) is None:
            new.append(Change(name, _was(unwanted_before.get(name))))
        elif details := ", ".join(_differences(old, product)):
            changed.append(Change(name, details))
    return Comparison(
        new=tuple(new),
        gone=tuple(Change(name, _is(unwanted_after.get(name))) for name in before if name not in after),
        changed=tuple(changed),
        same=len(after) - len(new) - len(changed),
        parts="" if earlier.wish == later.wish else f"{earlier.wish or 'all'} -> {later.wish or 'all'}",
    )


def _was(unwanted: PlanExclusion | None) -> str:
    return f"left out before: {unwanted.reason}" if unwanted and unwanted.reason else ""


def _is(unwanted: PlanExclusion | None) -> str:
    return f"still there, and left out: {unwanted.reason}" if unwanted and unwanted.reason else ""


def _differences(old: Product, new: Product) -> Iterator[str]:
    all_before, all_after = old.to_record(), new.to_record()
    for name in _COMPARED:
        before, after = all_before[name], all_after[name]
        if before == after or (name in _NOT_ALWAYS_ASKED and None in (before, after)):
            continue
        words = name.replace("_", " ")
        yield f"another {words}" if name in _TOO_LONG_TO_SHOW else f"{words} {_format(before)} -> {_format(after)}"


def _format(value: object) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else quote_value(value)
