"""The settings of connections: how catalogue and store are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from collgs_async import __version__
from collgs_async.config import kinds
from collgs_async.config.options import Section, setting

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PROJECT_URL", "Connection"]

PROJECT_URL: Final = "https://pypi.org/project/collgs-async/"
"""Where the project and its maintainers are found; the contact in the user agent, unless there is another one."""

_USER_AGENT: Final = f"collgs-async/{__version__}"


@dataclass(frozen=True, init=False, repr=False)
class Connection(Section):
    """How the server is reached."""

    prefix = "connection."
    group = "connection"

    # fmt: off
    download_base_url: str | None = setting("--download-base-url", "URL", kinds.BARE_ADDRESS, default=None,
        help="what relative download links start from, when it is not the catalogue's own host")
    timeout: float = setting("--timeout", "SECONDS", kinds.SECONDS, default=120,
        help="how long to wait for a connection, and for the next byte; never for a whole file")
    retries: int = setting("--retries", "N", kinds.whole(0), default=3,
        help="tries in a row that bring no new byte before a product is given up; 0 and 1 both mean a single try")
    page_size: int = setting("--page-size", "N", kinds.whole(1, 10_000), default=100,
        help="results of a search that are asked for at once, at most; a catalogue that gives fewer is asked for fewer")
    outage: float = setting("--outage", "TIME", kinds.duration("15m"), default=900,
        help="how long to wait for a store or catalogue that is away altogether: seconds, or with m, h or d; 0: never")
    staging: float = setting("--staging", "TIME", kinds.duration("2h"), default=7200,
        help="how long to wait for an archive that the store brings from tape (HTTP 202), likewise; 0: never")
    user_agent: str = setting("--user-agent", "TEXT", kinds.ASCII_TEXT, default=_USER_AGENT,
        help="how the program names itself to the server")
    contact: str | None = setting("--contact", "ADDRESS", kinds.CONTACT, default=None,
        help="where operators of the server can reach you, by mail or web; sent with the user agent")
    auth_hosts: tuple[str, ...] = setting("--auth-hosts", "HOST,...", kinds.HOSTS, default=(),
        help="hosts that may be given the password, beside the catalogue's own and those below it")
    sign_in: Literal["auto", "always"] = setting("--sign-in", "", kinds.one_of("auto", "always"), default="auto",
        help="auto: where a form is met; always: before the search, for catalogues that list more to those they know")
    proxy: str | None = setting("--proxy", "URL", kinds.PROXY, default=None,
        help="the HTTP proxy to go through")
    ca_file: Path | None = setting("--ca-file", "FILE", kinds.CERTIFICATES, default=None,
        help="certificates to trust instead of the system's, in PEM format")
    # fmt: on

    @property
    def user_agent_field(self) -> str:
        """The User-Agent header field: the name of the program and a contact, by default that of the project."""
        if self.contact is None and self.user_agent != _USER_AGENT:
            return self.user_agent
        return f"{self.user_agent} (+{self.contact or PROJECT_URL})"
