"""Format and parse amounts: counts, decimal bytes (1 kB is 1000 B), bytes per second, durations."""

from __future__ import annotations

import math
import re

__all__ = [
    "format_bytes",
    "format_duration",
    "format_rate",
    "format_share",
    "parse_duration",
    "parse_rate",
    "parse_size",
    "plural",
    "printable",
]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_POWERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|m|h|d|)", re.IGNORECASE | re.ASCII)
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmgt]?)", re.IGNORECASE | re.ASCII)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return a count with its noun, such as ``1 request`` and ``2 requests``.

    Parameters
    ----------
    count
        The number.
    noun, nouns
        The noun for one, and for any other number; None: with an s.
    """
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def format_bytes(n: float) -> str:
    """Format an amount of bytes with three digits at most, such as ``812 MB``, ``3.4 GB`` or ``12 B``.

    Parameters
    ----------
    n
        Bytes, not negative; fractions of a byte are rounded.
    """
    power = _power(n)
    return f"{_digits(n, power)} {_UNITS[power]}"


def format_share(part: float, whole: float, *, estimated: bool = False) -> str:
    """Format a part of an amount, both in the unit of the whole, such as ``3.4/14.1 GB``.

    Parameters
    ----------
    part, whole
        Bytes, not negative.
    estimated
        Whether the whole is an estimate, which is marked: ``3.4/~14.1 GB``.
    """
    power = _power(whole)
    return f"{_digits(part, power)}/{'~' * estimated}{_digits(whole, power)} {_UNITS[power]}"


def format_rate(bytes_per_second: float) -> str:
    """Format a rate in bytes per second, not negative, such as ``85.3 MB/s``."""
    return f"{format_bytes(bytes_per_second)}/s"


def format_duration(seconds: float) -> str:
    """Format a duration, such as ``02:05`` or, from one hour on, ``1:02:05``.

    Parameters
    ----------
    seconds
        Not negative; fractions are dropped.
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def parse_rate(text: str) -> float:
    """Parse a rate with an optional decimal suffix: k (10^3), M (10^6), G (10^9) or T (10^12), in either case.

    Returns
    -------
    float
        Bytes per second, always positive.

    Raises
    ------
    ValueError
        The text is not such a number, or is zero.
    """
    rate = _parse_amount(text)
    if not 0 < rate < math.inf:
        raise ValueError(f"expected bytes a second such as 500k, 20M or 1G, found {text!r}")
    return rate


def parse_size(text: str) -> float:
    """Parse an amount of bytes, with the suffixes of `parse_rate`.

    Returns
    -------
    float
        Bytes, always positive.

    Raises
    ------
    ValueError
        The text is not such a number, or is zero.
    """
    size = _parse_amount(text)
    if not 0 < size < math.inf:
        raise ValueError(f"expected bytes such as 500M, 200G or 1.5T, found {text!r}")
    return size


def _parse_amount(text: str) -> float:
    """Parse a number with a decimal suffix; 0 if it is none."""
    match = _AMOUNT.fullmatch(text.strip())
    return float(match[1]) * _POWERS[match[2].lower()] if match else 0.0


def parse_duration(text: str) -> float:
    """Parse a duration with an optional unit: s (seconds, the default), m or min, h or d, in either case.

    Returns
    -------
    float
        Seconds, not negative.

    Raises
    ------
    ValueError
        The text is not such a number.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _SECONDS[match[2].lower()] if match else math.inf
    if not seconds < math.inf:
        raise ValueError(f"expected seconds, or a number with m, h or d such as 15m, found {text!r}")
    return seconds


def _power(n: float) -> int:
    """Return the index of the unit in which `n`, once rounded, has no more than three digits before the point."""
    power = 0
    while power < len(_UNITS) - 1 and round(n / 1000**power) >= 1000:
        power += 1
    return power


def _digits(n: float, power: int) -> str:
    value = n / 1000**power
    return f"{value:.1f}" if power and round(value, 1) < 100 else f"{value:.0f}"


def printable(text: str) -> str:
    """Replace each unprintable character by a question mark, since a server's text could control the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)
