"""The ``COLLGS_*`` variables of the environment, and a message for those that do not exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from collgs_async.config.options import env_name
from collgs_async.config.settings import BY_KEY, KNOWN_KEYS, OPTIONS
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CONFIG", "unknown_variables"]

CONFIG: Final = "COLLGS_CONFIG"
"""Names the configuration file."""

_PREFIX: Final = "COLLGS_"
_OTHERS: Final = (CONFIG, "COLLGS_USERNAME", "COLLGS_PASSWORD", "COLLGS_PASSWORD_FILE")
"""Variables that are no settings."""

_OF_HOOKS: Final = ("COLLGS_ID", "COLLGS_PATH", "COLLGS_SHA256", "COLLGS_EXIT")
"""Variables that commands of hooks get: such a command may be this program again."""


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for each variable that looks like one of this program and is none, with the nearest one.

    Its value is never part of the message, since it may be a password.
    """
    known = {*_OTHERS, *_OF_HOOKS, *map(env_name, OPTIONS)}
    for name, value in environ.items():
        if value and name.upper().startswith(_PREFIX) and name not in known:
            shown = name if name.isprintable() else quote_value(name)
            yield f"{shown}: there is no such variable, and it has no effect{_suggestion(name)}"


def _suggestion(name: str) -> str:
    by_word = {
        **{word: env_name(BY_KEY[key]) for word, key in KNOWN_KEYS.items() if key in BY_KEY},
        **{other.removeprefix(_PREFIX).lower(): other for other in (*map(env_name, OPTIONS), *_OTHERS)},
    }
    near = difflib.get_close_matches(name[len(_PREFIX) :].lower(), by_word, n=1)
    return f"; did you mean {by_word[near[0]]}?" if near else ""
