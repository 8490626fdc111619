"""End a run at each of its steps, as a kill would, and see what the next run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from collgs_async.ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

__all__ = ["Killed", "Killer", "remove_locks"]


class Killed(BaseException):
    """Ends a run where nothing may catch it."""


class Killer:
    """Ends a run before, or right after, its nth step: a rename, a deletion, or a commit of the ledger.

    From then on no step is made any more, so that nothing is tidied up.
    """

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
        self._left = at
        self._after = after
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Ledger, "_transact")):
            patch.setattr(owner, name, self._stepping(getattr(owner, name)))

    @property
    def came(self) -> bool:
        """Whether the run was ended."""
        return self._left < 0

    def _stepping(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*words: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < -1 or (self._left < 0 and not self._after):
                raise Killed
            found = real(*words, **named)
            if self._left < 0:
                raise Killed
            return found

        return step


def remove_locks(folder: Path) -> None:
    """Remove the locks of a killed run: those of a process that has ended count as free."""
    for path in folder.rglob("*.lease"):
        path.unlink()
