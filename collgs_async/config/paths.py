"""Expand paths as a shell does: ``~``, ``~user``, ``$NAME`` and ``${NAME}``.

No shell expands the values in a configuration file, after the equals sign of a flag, or in a service file; and a folder
that is really called ``~`` is never meant.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from collgs_async.models.parameter_values import quote_value

__all__ = ["expand_variables", "read_path"]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(rf"\$(?:(\$)|({_NAME})|\{{({_NAME})\}}|(\{{))")


def read_path(written: str | Path) -> Path:
    """Expand the path of a file or folder.

    Parameters
    ----------
    written
        In text, ``$NAME`` and ``${NAME}`` are replaced and ``$$`` is a dollar sign; any other dollar sign stands for
        itself. Then a ``~`` or ``~user`` at the beginning is replaced; in a `Path`, too.

    Raises
    ------
    ValueError
        With a message: a variable is unset or empty, or a user unknown; without one: the path is blank or invalid.
    """
    text = os.fspath(written)
    if isinstance(written, str):
        text = expand_variables(written)
    if not text.strip() or not _can_be_held(text):
        raise ValueError
    if text.startswith("~"):
        user, slash, rest = text[1:].partition("/")
        return Path(_home(user, text) + slash + rest)
    path = Path(text)
    return path.absolute() if str(path).startswith("~") else path  # ./~ is a folder of that name, and must remain one


def expand_variables(written: str) -> str:
    """Expand the variables of a text, as `read_path` does.

    Raises
    ------
    ValueError
        With a message: a variable is unset or empty.
    """
    return _VARIABLE.sub(lambda found: _value(found, written), written)


def _can_be_held(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _value(found: re.Match[str], text: str) -> str:
    dollar, plain, braced, _ = found.groups()
    if dollar:
        return "$"
    name = plain or braced
    if not name:
        raise ValueError(f"expected variables such as $NAME or ${{NAME}}, found {quote_value(text)}")
    if not (value := os.environ.get(name)):
        state = "not set" if value is None else "empty"
        raise ValueError(
            f"expected a variable that is set, found {quote_value(text)}: {name} is {state}; $$ means a dollar"
        )
    return value


def _home(user: str, text: str) -> str:
    """Return the home of a user; for the current one, HOME takes precedence."""
    try:
        own = not user and os.environ.get("HOME")
        home = own or (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except (KeyError, ValueError):
        raise ValueError(f"expected the home of a known user, found {quote_value(text)}") from None
    if not home.startswith("/"):
        raise ValueError(f"expected a home that is a folder, found {quote_value(text)}: it is {quote_value(home)}")
    return home.rstrip("/")
