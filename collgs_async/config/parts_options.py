"""The settings of parts: which members of each archive are fetched, instead of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from collgs_async.config import kinds
from collgs_async.config.options import Section, setting
from collgs_async.config.selection_kinds import BANDS, MEMBERS, RESOLUTION
from collgs_async.models.wish import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PartsOptions"]


@dataclass(frozen=True, init=False, repr=False)
class PartsOptions(Section):
    """Which members of each archive are fetched, instead of all of them. Lists may be given as text with commas."""

    prefix = "parts."
    group = "parts"

    # fmt: off
    bands: tuple[str, ...] = setting("--bands", "BAND,...", BANDS, default=(),
        help="only these bands of each archive, and what is needed to open them: B02,SCL, VV,IW2 or Oa03,GEO")
    resolution: tuple[int, ...] | Literal["all"] = setting("--resolution", "METRES,...", RESOLUTION, default=(),
        help="of each band of Sentinel-2 the first of these that it has, such as 20,10, or all; else the finest")
    metadata_only: bool = setting("--metadata-only", "", kinds.SWITCH, default=False,
        help="only the metadata of each archive, and no image")
    members: tuple[str, ...] = setting("--members", "GLOB,...", MEMBERS, default=(),
        help="only files of each archive that one of these patterns matches, beside the bands, if any are named")
    else_whole: bool = setting("--else-whole", "", kinds.SWITCH, default=False,
        help="fetch whole archives from a store that cannot send parts of them")
    keep_part: bool = setting("--keep-part", "", kinds.SWITCH, default=False,
        help="keep the fetched bytes as IDENTIFIER.zip.part, too, so that none of them comes again with the rest")
    # fmt: on

    def _contradictions(self) -> Iterator[str]:
        if problem := self.wish.contradiction():
            yield f"{self.prefix}{problem}"

    @cached_property
    def wish(self) -> Wish:
        """What is wanted of each archive; false: the whole."""
        return Wish.from_settings(self.bands, self.resolution, metadata_only=self.metadata_only, members=self.members)
