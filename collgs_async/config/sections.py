"""How archives are fetched, and from where."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (pydantic reads it)
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from collgs_async.config.checked import InvalidError, Section, masked
from collgs_async.config.values import (
    no_bool,
    read_certificates,
    read_download_base_url,
    read_duration,
    read_hosts,
    read_proxy,
    read_rate,
)
from collgs_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Connection", "DownloadOptions"]

_Whole = Annotated[int, BeforeValidator(no_bool)]
_Seconds = Annotated[float, BeforeValidator(no_bool), Field(gt=0, allow_inf_nan=False)]
_Duration = Annotated[float, BeforeValidator(read_duration), Field(ge=0, allow_inf_nan=False)]
_Rate = Annotated[float, BeforeValidator(read_rate), Field(gt=0, allow_inf_nan=False)]
_AsciiText = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]


class Connection(Section):
    """How the server is reached.

    Attributes
    ----------
    timeout
        Seconds without a connection or without a byte; never a limit for a whole file.
    retries
        Tries in a row that bring no new byte before a product is given up; 0 and 1 both mean a single try.
    page_size
        The most results of a search that are asked for at once, from 1 to 10000; a catalogue that gives fewer on a
        page tells so, and then fewer are.
    outage
        Seconds, or text such as ``15m`` or ``2h``, for which a store or catalogue as a whole may be away before what
        is asked of it is given up; 0: not at all.
    staging
        Seconds, or text as above, for which an archive may be on its way from tape (HTTP 202) before it is given up;
        0: not at all.
    user_agent
        How the program names itself.
    download_base_url
        What relative download links start from; None: the root of the catalogue's host.
    auth_hosts
        Hosts that may be given the password, beside the catalogue's own and those below it; their own subdomains
        are not meant. As text, they are parted by commas.
    sign_in
        ``auto``: where a sign-in form is met; ``always``: before the search, at the link of the first archive, for a
        catalogue may list more to those whom it knows.
    proxy
        The HTTP proxy to go through, perhaps with a password, which is never shown; None: none.
    ca_file
        PEM certificates to trust instead of the system's; None: the system's.
    """

    prefix: ClassVar[str] = "connection."

    timeout: _Seconds = 120
    retries: Annotated[_Whole, Field(ge=0)] = 3
    page_size: Annotated[_Whole, Field(ge=1, le=10_000)] = 100
    outage: _Duration = 900
    staging: _Duration = 7200
    user_agent: _AsciiText = f"collgs-async/{__version__}"
    download_base_url: Annotated[str | None, BeforeValidator(read_download_base_url)] = None
    auth_hosts: Annotated[tuple[str, ...], BeforeValidator(read_hosts)] = ()
    sign_in: Literal["auto", "always"] = "auto"
    proxy: Annotated[str | None, BeforeValidator(read_proxy)] = None
    ca_file: Annotated[Path | None, BeforeValidator(read_certificates)] = None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, masked(value) if name == "proxy" and value else value


class DownloadOptions(Section):
    """How archives are fetched and checked.

    Attributes
    ----------
    chunk_size
        Bytes per read and write, from 1024 to 64 MiB; a floor, larger blocks may be used.
    skip_existing
        Whether an archive that is in the folder is left alone.
    workers
        Archives that are fetched at the same time, from 1 to 64.
    verify
        ``crc``: the checksum of each member; ``structure``: the ZIP's directory; ``size``: the length alone.
    limit_rate
        Bytes a second over all archives, as a number or as text with k, M or G; None: no limit.
    segments
        The most connections for one archive, when workers have nothing else to do; from 1 to 64.
    min_rate
        Bytes a second below which a connection is made anew after half a minute; None: no such limit.
    """

    prefix: ClassVar[str] = "download_options."

    chunk_size: Annotated[_Whole, Field(ge=1024, le=64 * 2**20)] = 65536
    skip_existing: StrictBool = True
    workers: Annotated[_Whole, Field(ge=1, le=64)] = 4
    verify: Literal["crc", "structure", "size"] = "crc"
    limit_rate: _Rate | None = None
    segments: Annotated[_Whole, Field(ge=1, le=64)] = 4
    min_rate: _Rate | None = None

    @model_validator(mode="after")
    def _floor_below_limit(self) -> Self:
        """Refuse a floor that the limit itself would keep every connection under."""
        if self.limit_rate and self.min_rate and self.min_rate > self.limit_rate / self.workers:
            share = self.limit_rate / self.workers
            raise InvalidError(
                f"download_options: expected min_rate of at most {share:.0f} (limit_rate, shared by the workers), "
                f"found {self.min_rate:.0f}"
            )
        return self
