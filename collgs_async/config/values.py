"""Single values, read from what a file, a variable or a flag holds; ValueError is for what they cannot be."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from collgs_async.config.checked import BY_KEY, CREDENTIALS, show_value
from collgs_async.paths import read_path
from collgs_async.query import shown
from collgs_async.units import parse_duration, parse_rate

__all__ = [
    "no_bool",
    "read_base_url",
    "read_certificates",
    "read_download_base_url",
    "read_duration",
    "read_existing_file",
    "read_folder",
    "read_hosts",
    "read_proxy",
    "read_rate",
]

_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


def no_bool(value: object) -> object:
    """Refuse true and false where a number is meant; Python would count them as 1 and 0."""
    if value is True or value is False:
        raise ValueError
    return value


def read_rate(value: object) -> object:
    """Read text such as 20M; the options table has the words for what is no rate."""
    try:
        return parse_rate(value) if isinstance(value, str) else no_bool(value)
    except ValueError:
        raise ValueError from None


def read_duration(value: object) -> object:
    """Read text such as 15m; the options table has the words for what is no length of time."""
    try:
        return parse_duration(value) if isinstance(value, str) else no_bool(value)
    except ValueError:
        raise ValueError from None


def _address(value: object, key: str) -> str:
    """Check an http or https address with a host; raise ValueError, with the reason where it is a special one."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"expected {BY_KEY[key].expected}, found {show_value(key, value)}")
    return value


def _bare_address(value: object, key: str) -> str:
    """Check an address that is made longer later: nothing may stand before its host or after its path."""
    url = _address(value, key)
    found = f"found {show_value(key, url)}"
    if "@" in urlsplit(url).netloc:
        raise ValueError(f"expected no user name or password ({CREDENTIALS}), {found}")
    if "?" in url:
        raise ValueError(f"expected no query (search parameters belong under parameters), {found}")
    if "#" in url:
        raise ValueError(f"expected no fragment, {found}")
    return url


def read_base_url(value: object) -> str:
    """Check the search address."""
    return _bare_address(value, "base_url")


def read_download_base_url(value: object) -> str | None:
    """Check what relative links start from."""
    return None if value is None else _bare_address(value, "connection.download_base_url")


def read_proxy(value: object) -> str | None:
    """Check the address of a proxy, which may hold a password."""
    return None if value is None else _address(value, "connection.proxy")


def read_hosts(value: object) -> tuple[str, ...]:
    """Read names of hosts, in a list or parted by commas."""
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [None]
    hosts = tuple(name.strip() for name in names if isinstance(name, str))
    if len(hosts) != len(names) or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError
    return hosts


def _path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError  # noqa: TRY004  (only this becomes part of a ValidationError)
    return read_path(value)


def read_folder(value: object) -> Path:
    """Read the name of a folder, which need not exist yet."""
    path = _path(value)
    try:
        blocked = path.exists() and not path.is_dir()
    except OSError as error:
        raise ValueError(f"expected the name of a folder, found {shown(str(path))}: {error.strerror}") from None
    if blocked:
        raise ValueError(f"expected a folder, found a file of this name, {shown(str(path))}")
    return path


def read_existing_file(value: object) -> Path | None:
    """Read the name of a file that is there."""
    if value is None:
        return None
    path = _path(value)
    try:
        exists = path.exists() and not path.is_dir()  # a pipe will do
    except OSError:
        exists = False
    if not exists:
        raise ValueError
    return path


def read_certificates(value: object) -> Path | None:
    """Read the name of a file with certificates in PEM format."""
    path = read_existing_file(value)
    if path is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except OSError:  # ssl.SSLError is one
            raise ValueError(f"expected certificates in PEM format, found something else in {path}") from None
    return path
