"""Read a JSON file written by hand: strictly, with the position of errors."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from collgs_async.config.json_pieces import JsonReader, TooLargeError
from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

__all__ = ["has_key", "read_object"]

MAX_BYTES: Final = 200_000_000
"""Limit in bytes of what is held as a whole."""


def read_object(
    file: Path, take: Mapping[str, Callable[[Any, str], None]] | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Read a JSON object, without ``$schema``, which is for editors.

    Parameters
    ----------
    take
        Called with each item of the lists of these keys, and its text; an empty list is in their place. None: all is
        held.
    max_bytes
        The permitted length of the file.

    Raises
    ------
    ConfigError
        The file cannot be read, is not a JSON object, or has a key twice; the line begins with its name.
    """
    try:
        with file.open("rb") as stream:
            value, pairs = JsonReader(stream, _DECODER, max_bytes).read(take or {})
        values = None if pairs is None else _refuse_duplicates(pairs)
    except TooLargeError:
        raise ConfigError(f"{file}: expected at most {max_bytes // 10**6} MB of JSON, found more") from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file}: expected JSON, found at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected UTF-8 text, found another encoding at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: {error}") from None
    except FileNotFoundError:
        raise ConfigError(f"{file}: expected a JSON file, found none: it is missing") from None
    except OSError as error:
        raise ConfigError(f"{file}: expected a JSON file, found: {error.strerror}") from None
    if values is None:
        raise ConfigError(f"{file}: expected a JSON object, found {quote_value(value)}")
    values.pop("$schema", None)
    return values


def has_key(file: Path, keys: Collection[str]) -> bool:
    """Whether a JSON file has one of these keys, or one like them; of a file that is not right JSON, whether it may.

    An empty object counts as having them, and so does a file that cannot be read.
    """
    try:
        values = read_object(file)
    except ConfigError:
        try:
            text = file.read_bytes()
        except IsADirectoryError:
            return False
        except OSError:
            return True
        return any(f'"{key}"'.encode() in text for key in keys)
    return not values or any(difflib.get_close_matches(key, keys, n=1, cutoff=0.8) for key in values)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; of two equal keys the JSON parser would silently keep the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"expected each key once, found {quote_value(twin)} twice in an object")
    return values


def _no_constant(name: str) -> object:
    raise ValueError(f"expected finite numbers, found {name}")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_constant=_no_constant)
