"""Kinds of values: their description for messages, and their parsers for files, variables, flags and Python."""

from __future__ import annotations

import math
import re
import stat
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collgs_async.config.paths import expand_variables, read_path
from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.store_url import StoreUrl
from collgs_async.models.text import parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.timetable import RateTimetable

CREDENTIALS = "credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD"

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,300})(?:\.0+)?\s*")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_COMMENT = re.compile(r"[!-'*-\[\]-~]+")
"""What may stand in a comment of a header field, without blanks, parentheses and backslashes (RFC 9110 §5.6.5)."""

_CUT_URL = re.compile(r"(s3|gs|az):/(?!/)")
_MAIL = re.compile(r"[^@:/]+@[^@:/]+")
_PRINTABLE_ASCII = re.compile(r"[!-~]([ -~]*[!-~])?")


def as_it_is(value: Any) -> Any:
    """Accept a value, whatever it is."""
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes
    ----------
    expected
        Description for messages: ``a whole number from 1 to 64``; empty: `read` accepts everything.
    read
        Returns the normalised value, which it accepts again. Raises ValueError for an invalid one: without a message
        where `expected` suffices, else with what was expected and what was found.
    from_text
        Converts the text of a flag or a variable to a value as in a file.
    choices
        The only valid values; empty: many.
    items
        The valid items of a list with commas; empty: many, or it is no list.
    may_hold_password
        Whether it is a URL, whose password must not appear in a message or a repr.
    """

    expected: str
    read: Callable[[Any], Any]
    from_text: Callable[[str], object] = as_it_is
    choices: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    may_hold_password: bool = False

    def check(self, key: str, value: object) -> Any:
        """Validate a value.

        Raises
        ------
        ConfigError
            It is invalid; the line begins with this key.
        """
        try:
            return self.read(value)
        except ValueError as error:
            found = _quote_url(value) if self.may_hold_password else _quote(value)
            problem = _without_password(str(error)) or f"expected {self.expected}, found {found}"
            raise ConfigError(f"{key}: {problem}") from None


def redact_url(url: str) -> str:
    """Redact the user information and the query values of a URL, also of an invalid one."""
    before, at, rest = url.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    hidden = f"{scheme if slashes else ''}{slashes}***@{rest}" if at else url
    return re.sub(r"\?.*", "?…", hidden, flags=re.DOTALL)


def _without_password(text: str) -> str:
    """Redact the user information of a URL, also where it is in the wrong place."""
    return re.sub(r"//\S*@", "//***@", text)


def _quote(value: object) -> str:
    if isinstance(value, str):
        return quote_value(_without_password(value))
    try:
        return f"a value of type {type(value).__name__}" if "@" in repr(value) else quote_value(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        return quote_value(value)


def _quote_url(value: object) -> str:
    return quote_value(redact_url(value)) if isinstance(value, str) else f"a value of type {type(value).__name__}"


# Numbers


def whole(least: int, most: int | None = None, *, of: str = "") -> Kind:
    """Accept a whole number within bounds, optionally with a unit; `most` None: no upper bound."""

    def read(value: object) -> int:
        number = value
        if isinstance(value, str) and (found := _INTEGER.fullmatch(value)):
            number = int(found[1])
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or number < least or (most and number > most):
            raise ValueError
        return number

    if of:
        return Kind(f"a whole number of {of}, at least {least} and at most {most}", read)
    return Kind(f"a whole number from {least} to {most}" if most else f"a whole number, at least {least}", read)


def _amount(expected: str, right: Callable[[float], bool], parse: Callable[[str], float]) -> Kind:
    """Accept a finite number for which `right` is true, or text that `parse` converts to one."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        try:
            number = parse(value) if isinstance(value, str) else float(value)
        except (ValueError, OverflowError):
            raise ValueError from None
        if not (math.isfinite(number) and right(number)):
            raise ValueError
        return number

    return Kind(expected, read)


def duration(such_as: str, *, zero: bool = True) -> Kind:
    """Accept seconds, as a number or as text with a unit, such as ``15m``; optionally also 0."""
    expected = f"seconds, or a number with m, h or d such as {such_as}; {'at least' if zero else 'more than'} 0"
    return _amount(expected, lambda seconds: seconds > 0 or (zero and seconds == 0), parse_duration)


def _number(text: str) -> float:
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError
    return float(text)


SECONDS = _amount("a number of seconds, more than 0", lambda seconds: seconds > 0, _number)
RATE = _amount("bytes a second such as 500k, 20M or 1G", lambda rate: rate > 0, parse_rate)
SIZE = _amount("bytes such as 500M, 200G or 1.5T", lambda size: size > 0, parse_size)
PERCENT = _amount("a percentage from 0 to 100", lambda n: 0 <= n <= 100, lambda text: _number(text.rstrip(" %")))


def _rate_or_timetable(value: object) -> float | RateTimetable | None:
    """Parse a rate, ``off`` for no limit, or a timetable of both."""
    from collgs_async.models.timetable import RateTimetable  # deferred: most commands have no rate

    if isinstance(value, RateTimetable):
        return value
    if isinstance(value, str) and value.strip().lower() == "off":
        return None
    if isinstance(value, str) and ("," in value or ":" in value):
        return RateTimetable.parse(value)
    rate: float = RATE.read(value)
    return rate


def _free_space(value: object) -> float | str:
    """Parse an amount of bytes, or a share of the disk, which remains text such as ``5%``."""
    if isinstance(value, str) and "%" in value:
        share = _number(value.strip().removesuffix("%"))
        if not 0 < share < 100:
            raise ValueError
        return f"{share:g}%"
    size: float = SIZE.read(value)
    return size


def _share(value: object) -> float | str:
    """Parse an amount of bytes, or a share of all, up to the whole, which remains text such as ``1%``."""
    if isinstance(value, str) and "%" in value:
        share = _number(value.strip().removesuffix("%"))
        if not 0 < share <= 100:
            raise ValueError
        return f"{share:g}%"
    size: float = SIZE.read(value)
    return size


def _clock_time(value: object) -> time:
    from collgs_async.models.timetable import parse_clock_time

    if isinstance(value, time) and value.tzinfo is None:
        return value.replace(second=0, microsecond=0)
    if not isinstance(value, str):
        raise ValueError
    return parse_clock_time(value)


RATE_OR_TIMETABLE = Kind(RATE.expected, _rate_or_timetable)
FREE_SPACE = Kind("bytes such as 200G, or a share of the disk such as 5%", _free_space)
SHARE = Kind("bytes such as 200G, or a share such as 1%", _share)
CLOCK_TIME = Kind("a time of the day such as 06:00", _clock_time)


# Words


def one_of(*choices: str, any_case: bool = False) -> Kind:
    """Accept one of a few words."""

    def read(value: object) -> str:
        word = value.strip().lower() if any_case and isinstance(value, str) else value
        if not isinstance(word, str) or word not in choices:
            raise ValueError
        return word

    return Kind(f"{', '.join(choices[:-1])} or {choices[-1]}", read, choices=choices)


def _only_if(is_right: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Return a parser that accepts a value unchanged if it is valid."""

    def read(value: object) -> object:
        if not is_right(value):
            raise ValueError
        return value

    return read


def _yes_or_no(words: str) -> object:
    """Parse a switch; other words are returned unchanged, to be refused."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return known.get(words.strip().lower(), words)


def _hosts(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [None]
    hosts = tuple(name.strip() for name in names if isinstance(name, str))
    if len(hosts) != len(names) or not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError
    return hosts


SWITCH = Kind("true or false", _only_if(lambda value: isinstance(value, bool)), from_text=_yes_or_no)
ASCII_TEXT = Kind(
    "printable ASCII text", _only_if(lambda value: isinstance(value, str) and _PRINTABLE_ASCII.fullmatch(value))
)
HOSTS = Kind("names of hosts such as sso.example.org", _hosts, may_hold_password=True)


# Addresses and files


def _is_address(value: object) -> bool:
    """Whether this is an http or https URL with a host."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _is_contact(value: object) -> bool:
    """Whether this is a mail address, or a URL without user information, that may stand in a header field."""
    if not isinstance(value, str) or not _COMMENT.fullmatch(value):
        return False
    return bool(_MAIL.fullmatch(value)) or (_is_address(value) and "@" not in value)


_address = _only_if(_is_address)


def _base_url(value: object) -> str:
    """Validate a URL that is extended later: it has no user information, query or fragment."""
    url: str = _address(value)
    found = f"found {_quote_url(url)}"
    if "@" in urlsplit(url).netloc:
        raise ValueError(f"expected no user name or password ({CREDENTIALS}), {found}")
    if "?" in url:
        raise ValueError(f"expected no query (search parameters belong under parameters), {found}")
    if "#" in url:
        raise ValueError(f"expected no fragment, {found}")
    return url


def _endpoint(value: object) -> str:
    if re.search("[@?#]", url := str(_address(value))):
        raise ValueError(f"expected no password and no query, found {_quote_url(url)}")
    return url


def _proxy(value: object) -> str:
    if isinstance(value, str) and value.lower().startswith("socks"):
        raise ValueError(f"expected an http or https address, found {_quote_url(value)}; SOCKS is not supported")
    return str(_address(value))


def _path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError
    return read_path(value)


def _folder(value: object) -> Path:
    """Parse the path of a folder, which need not exist."""
    path = _path(value)
    for place in (path, *path.parents):
        found = quote_value(str(place))
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                raise ValueError(f"expected a folder, found a link to nothing, {found}; is a disk missing?") from None
            continue
        except OSError as error:
            raise ValueError(f"expected the name of a folder, found {found}: {error.strerror}") from None
        if not is_folder:
            raise ValueError(f"expected a folder, found a file of this name, {found}")
        break
    return path


def _folder_or_store(value: object) -> Path | StoreUrl:
    """Parse the path of a folder, or the URL of an object store, whose variables are expanded likewise."""
    if isinstance(value, StoreUrl):
        return value
    if isinstance(value, str) and StoreUrl.is_url(value):
        return StoreUrl.parse(expand_variables(value))
    if _CUT_URL.match(text := str(value)):
        raise ValueError(f"expected two slashes in the URL of an object store, as text, found {quote_value(text)}")
    return _folder(value)


def _file(value: object) -> Path:
    """Parse the path of a file, which need not exist."""
    path = _path(value)
    found = quote_value(str(path))
    try:
        if path.is_dir():
            raise ValueError(f"expected the name of a file, found a folder of this name, {found}")
    except OSError as error:
        raise ValueError(f"expected the name of a file, found {found}: {error.strerror}") from None
    return path


def existing_file(value: object, *, expected: str = "an existing file") -> Path:
    """Accept the name of something that exists and is no folder."""
    path = _path(value)
    try:
        if not stat.S_ISDIR(path.stat().st_mode):  # a pipe is valid
            return path
        problem = "it is a folder"
    except FileNotFoundError:
        problem = "it is missing"
    except OSError as error:
        problem = error.strerror or str(error)
    raise ValueError(f"expected {expected}, found {quote_value(str(value))}: {problem}")


def _certificates(value: object) -> Path:
    """Validate the path of a file with certificates in PEM format."""
    import ssl

    path = existing_file(value)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError:  # includes ssl.SSLError
        raise ValueError(f"expected certificates in PEM format, found something else in {path}") from None
    return path


BARE_ADDRESS = Kind("an http or https address", _base_url, may_hold_password=True)
ENDPOINT = Kind("an http or https address", _endpoint, may_hold_password=True)
CONTACT = Kind("a mail or web address such as ada@example.org", _only_if(_is_contact), may_hold_password=True)
PROXY = Kind("an http or https address", _proxy, may_hold_password=True)
FILE = Kind("the name of a file", _file)
FOLDER = Kind("the name of a folder", _folder)
FOLDER_OR_STORE = Kind("the name of a folder", _folder_or_store)
CERTIFICATES = Kind("an existing file", _certificates)
