"""The kind of value that says where products are downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collgs_async.config.kinds import Kind

if TYPE_CHECKING:
    from collgs_async.models.engine import DaskEngine

__all__ = ["ENGINE"]

_EXPECTED: Final = "dask, dask=local:4, dask=tcp://host:8786 or none"


def _engine(value: object) -> DaskEngine | None:
    from collgs_async.models.engine import DaskEngine

    if isinstance(value, DaskEngine):
        return value
    if not isinstance(value, str):
        raise ValueError
    return None if value.strip() == "none" else DaskEngine.parse(value)


ENGINE: Final = Kind(_EXPECTED, _engine)
