"""What each section of the settings is made of: values that are checked, and words for those that are wrong."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from collgs_async.errors import ConfigError
from collgs_async.options import OPTIONS
from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

__all__ = ["BY_KEY", "CREDENTIALS", "InvalidError", "Section", "masked", "show_value"]

BY_KEY = {option.key: option for option in OPTIONS}
CREDENTIALS = "credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD"
_SECRETS = {"username", "user", "password", "credentials", "auth", "token"}
_MEANT = {
    "concurrent_downloads": "download_options.workers",
    "max_workers": "download_options.workers",
    "max_retries": "connection.retries",
    "output_dir": "output_directory",
    **{option.flag.removeprefix("--").replace("-", "_"): option.key for option in OPTIONS},
    **{key.rpartition(".")[2]: key for key in BY_KEY},
    **{section: section for section in ("parameters", "selection", "connection", "download_options")},
}
"""What a key of this name most likely means: names of old samples, of flags, and the right ones."""


class InvalidError(ConfigError, ValueError):
    """Wrong settings; a ValueError too, so that pydantic gathers it with those of the other sections."""


class Section(BaseModel):
    """A frozen section of the settings that names all its wrong values in one ConfigError."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    prefix: ClassVar[str] = ""

    def __init__(self, /, **values: Any) -> None:
        with _named(self.prefix):
            super().__init__(**values)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Check a mapping; what is wrong is named in a ConfigError, as everywhere."""
        with _named(cls.prefix):
            return super().model_validate(obj, **options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Give a copy with some other values, checked as those of a new one are.

        Parameters
        ----------
        update
            Other values by the names of their fields; None: none.
        deep
            Whether what is not replaced is copied, too.

        Raises
        ------
        ConfigError
            With a line for each wrong value, also for one that does not go with another.
        """
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**(deepcopy(kept) if deep else kept), **(update or {})})

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # type: ignore[override]  # pydantic's old name
        """Give a copy, as `model_copy` does."""
        return self.model_copy(update=update, deep=deep)

    def __replace__(self, **changes: Any) -> Self:
        """Give a copy with other values, for `copy.replace`."""
        return self.model_copy(update=changes)


@contextmanager
def _named(prefix: str) -> Iterator[None]:
    """Say in one ConfigError what pydantic found."""
    try:
        yield
    except ValidationError as error:
        raise InvalidError([line for detail in error.errors() for line in _problems(prefix, detail)]) from None


def _problems(prefix: str, detail: ErrorDetails) -> Iterator[str]:
    """Say in the words of the options table what pydantic found."""
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        yield from cause.problems
        return
    key = prefix + str(detail["loc"][0] if detail["loc"] else "settings")
    if detail["type"] == "extra_forbidden":
        yield f"{_printable(key)}: unknown key{_hint(key)}"
    elif type(cause) is ValueError and cause.args:
        yield f"{key}: {cause}"
    else:
        expected = BY_KEY[key].expected if key in BY_KEY else "an object"
        yield f"{key}: expected {expected}, found {show_value(key, detail['input'])}"


def _hint(key: str) -> str:
    """Name the key that was probably meant: of the same section by its last word, else with its section."""
    section, _, name = key.rpartition(".")
    if name.lower() in _SECRETS:
        return f"; {CREDENTIALS}"
    near = difflib.get_close_matches(name, _MEANT, n=1, cutoff=0.7)
    if not near:
        return ""
    meant_section, _, meant_name = _MEANT[near[0]].rpartition(".")
    return f"; did you mean {meant_name if meant_section == section else _MEANT[near[0]]}?"


def _printable(key: str) -> str:
    return key if key.isprintable() else shown(key)


def show_value(key: str, value: object) -> str:
    """Show a wrong value, but never a password that an address may hold."""
    if not key.endswith(("url", "proxy")):
        return shown(value)
    return shown(masked(value)) if isinstance(value, str) else f"a value of type {type(value).__name__}"


def masked(url: str) -> str:
    """Hide what stands before the host, and the values of a query, also in an address that is no right one."""
    before, at, rest = url.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    hidden = f"{scheme if slashes else ''}{slashes}***@{rest}" if at else url
    return re.sub(r"\?.*", "?…", hidden, flags=re.DOTALL)
