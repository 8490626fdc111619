"""Find credentials in the environment, or in a netrc file that only its owner can read."""

from __future__ import annotations

import netrc
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Credentials", "find_credentials", "passwords_at_hand"]

_LARGEST: Final = 2**20
"""Maximum size in bytes of a netrc file that is read only to find passwords to redact."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; the password is excluded from the repr."""

    username: str
    password: str = field(repr=False)


def find_credentials(environ: Mapping[str, str], host: str, *, netrc_file: Path | None = None) -> Credentials | None:
    """Return ``COLLGS_USERNAME`` and ``COLLGS_PASSWORD``, else the host's entry in a netrc file, else None.

    Parameters
    ----------
    environ
        Environment variables; an empty one counts as not set.
    host
        The catalogue's host; a ``default`` entry of the file is ignored.
    netrc_file
        None for the file named by ``NETRC``, else ``.netrc`` in ``HOME``.

    Raises
    ------
    ConfigError
        Only one of the two variables is set; or the file is malformed, its entry incomplete, or readable by others.
    """
    names = ("COLLGS_USERNAME", "COLLGS_PASSWORD")
    missing = [name for name in names if not environ.get(name)]
    if not missing:
        return Credentials(environ[names[0]], environ[names[1]])
    if len(missing) == 1:
        (other,) = set(names) - set(missing)
        raise ConfigError(f"{missing[0]}: expected to be set, as {other} is; found nothing")
    if netrc_file is None:
        netrc_file = _netrc_file(environ)
    return _from_netrc(netrc_file, host) if netrc_file else None


def passwords_at_hand(environ: Mapping[str, str], host: str) -> Iterator[tuple[str, str]]:
    """Yield user name and password of each credential that `find_credentials` may return, so they can be redacted.

    Errors are ignored here; `find_credentials` raises them when the credentials are needed.
    """
    if password := environ.get("COLLGS_PASSWORD"):
        yield environ.get("COLLGS_USERNAME", ""), password
    try:
        file = _netrc_file(environ)
        status = file.stat() if file else None
        # Reading a pipe might never end.
        if file is None or status is None or not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return
        credentials = _entry(file, host)
    except (OSError, ValueError, netrc.NetrcParseError):
        return
    if credentials and credentials.password:
        yield credentials.username, credentials.password


def _netrc_file(environ: Mapping[str, str]) -> Path | None:
    named, home = environ.get("NETRC"), environ.get("HOME")
    return Path(named) if named else Path(home, ".netrc") if home else None


def _from_netrc(file: Path, host: str) -> Credentials | None:
    problem = ""
    try:
        status, credentials = file.stat(), _entry(file, host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        problem = f"expected a netrc file, found something else at line {error.lineno}"
    except UnicodeDecodeError:
        problem = "expected UTF-8 text, found another encoding"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    if problem:
        # Raised outside of the except block, because the parser's exception contains the text it failed on, perhaps a
        # password.
        raise ConfigError(f"{file}: {problem}")
    if credentials is None:
        return None
    if not credentials.username or not credentials.password:
        lacks = "password" if credentials.username else "login"
        raise ConfigError(f"{file}: expected login and password for machine {host}, found no {lacks}")
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"{file}: expected a file of yours that only you can read (chmod 600), found mode {mode:04o}")
    return credentials


def _entry(file: Path, host: str) -> Credentials | None:
    """Return the entry of a host; user name and password may be empty."""
    found = netrc.netrc(file).hosts.get(host)
    return Credentials(found[0] or "", found[2] or "") if found else None
