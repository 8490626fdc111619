"""Find credentials in the environment, or in a netrc file that only its owner can read."""

from __future__ import annotations

import netrc
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.config.paths import read_path
from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Credentials",
    "check_password_file",
    "find_credentials",
    "has_password",
    "passwords_at_hand",
    "read_password",
]

_USERNAME: Final = "COLLGS_USERNAME"
_PASSWORD: Final = "COLLGS_PASSWORD"  # noqa: S105  (the name of a variable)
_PASSWORD_FILE: Final = "COLLGS_PASSWORD_FILE"  # noqa: S105

_LONGEST_PASSWORD: Final = 4096
"""Maximum size in bytes of a file with a password."""

_LARGEST: Final = 2**20
"""Maximum size in bytes of a netrc file that is read only to find passwords to redact."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; the password is excluded from the repr."""

    username: str
    password: str = field(repr=False)


def find_credentials(environ: Mapping[str, str], host: str, *, netrc_file: Path | None = None) -> Credentials | None:
    """Return ``COLLGS_USERNAME`` and the password of `read_password`, else the host's entry in a netrc file, else None.

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
        Only one of user name and password is set, or `read_password` fails; or the netrc file is malformed, its entry
        incomplete, or readable by others.
    """
    username, password = environ.get(_USERNAME), read_password(environ)
    if username and password:
        return Credentials(username, password)
    if username:
        raise ConfigError(f"{_PASSWORD}: expected to be set, as {_USERNAME} is; found nothing")
    if password:
        given = _PASSWORD if environ.get(_PASSWORD) else _PASSWORD_FILE
        raise ConfigError(f"{_USERNAME}: expected to be set, as {given} is; found nothing")
    if netrc_file is None:
        netrc_file = _netrc_file(environ)
    return _from_netrc(netrc_file, host) if netrc_file else None


def has_password(environ: Mapping[str, str]) -> bool:
    """Whether a variable holds or names a password."""
    return bool(environ.get(_PASSWORD) or environ.get(_PASSWORD_FILE))


def read_password(environ: Mapping[str, str]) -> str | None:
    """Return ``COLLGS_PASSWORD``, else the only line of the file that ``COLLGS_PASSWORD_FILE`` names, else None.

    Such a file is how systemd (``LoadCredential=``) and containers hand a secret to a service. Its name may hold
    variables, such as ``$CREDENTIALS_DIRECTORY/collgs``, and its mode is that of the service manager.

    Raises
    ------
    ConfigError
        Both are set; or the file is missing, unreadable, empty, or has several lines.
    """
    given, named = environ.get(_PASSWORD), environ.get(_PASSWORD_FILE)
    if not named:
        return given or None
    if given:
        raise ConfigError(f"{_PASSWORD_FILE}: expected no {_PASSWORD} beside it, found both")
    password, problem = _read_line(named)
    if problem:
        # Raised outside of the except blocks, since an exception in its chain may hold what was read.
        raise ConfigError(f"{_PASSWORD_FILE}: expected a file with the password, found {quote_value(named)}: {problem}")
    return password


def check_password_file(environ: Mapping[str, str]) -> None:
    """Raise the errors of `read_password` before anything is done."""
    if environ.get(_PASSWORD_FILE):
        read_password(environ)


def _read_line(named: str) -> tuple[str, str]:
    """Return the only line of a file, and what is wrong with it; one of them is empty."""
    try:
        path = read_path(named)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "", "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file"
        if status.st_size > _LONGEST_PASSWORD:
            return "", f"it has more than {_LONGEST_PASSWORD} bytes"
        text = path.read_text("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return "", "it is missing"
    except OSError as error:
        return "", f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "", "it is not UTF-8 text"
    except ValueError as error:
        return "", str(error) or "that is no name of a file"
    if "\n" in text or "\0" in text:
        return "", "it has several lines" if "\n" in text else "it is no text"
    return text, "" if text.strip() else "it is empty"


def passwords_at_hand(environ: Mapping[str, str], host: str) -> Iterator[tuple[str, str]]:
    """Yield user name and password of each credential that `find_credentials` may return, so they can be redacted.

    Errors are ignored here; `find_credentials` raises them when the credentials are needed.
    """
    try:
        password = read_password(environ)
    except ConfigError:
        password = environ.get(_PASSWORD)
    if password:
        yield environ.get(_USERNAME, ""), password
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
