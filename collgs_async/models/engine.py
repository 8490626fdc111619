"""Where products are downloaded: in this process, or by the workers of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["DaskEngine"]

_WRITTEN: Final = re.compile(r"dask(?:=(?:local(?::([1-9][0-9]{0,2}))?|([a-z]+://[^\s/?#@]+)))?")


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """A Dask cluster.

    Attributes
    ----------
    address
        Its scheduler, such as ``tcp://host:8786``; None: a cluster of processes on this machine, for one run.
    processes
        Number of these processes; None: what fits the machine.
    """

    address: str | None = None
    processes: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``dask``, ``dask=local:4`` or ``dask=tcp://host:8786``.

        Raises
        ------
        ValueError
            The text is something else.
        """
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise ValueError
        return cls(written[2], int(written[1]) if written[1] else None)

    def __str__(self) -> str:
        if self.address is not None:
            return f"dask={self.address}"
        return "dask" if self.processes is None else f"dask=local:{self.processes}"
