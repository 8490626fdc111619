"""Shorten product names for one line of the screen."""

from __future__ import annotations

import re

from collgs_async.http.messages import printable
from collgs_async.models.width import elide

__all__ = ["short_name"]

# The fields that distinguish two products of one download; `models.sentinel` has complete patterns.
_DATE = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
_TIME = r"T(?P<hour>\d\d)(?P<minute>\d\d)\d\d"
_SCHEMES = (
    (
        re.compile(rf"(?P<mission>S1[A-D])_(?P<beam>[A-Z0-9]{{2}})_(?P<type>[A-Z]{{3}}[FHM_])_\w{{4}}_{_DATE}{_TIME}_"),
        "{mission} {beam} {type} {year}-{month}-{day} {hour}:{minute}",
    ),
    (
        re.compile(
            rf"(?P<mission>S2[A-D])_MSIL(?P<type>1B|1C|2A)_{_DATE}{_TIME}_N\d{{4}}_R\d{{3}}_(?P<tile>T\w{{5}})_"
        ),
        "{mission} L{type} {year}-{month}-{day} {tile}",
    ),
    (
        re.compile(rf"(?P<mission>S3[A-D])_(?P<type>[A-Z]{{2}}_[012_]_[A-Z0-9_]{{6}})_{_DATE}{_TIME}_"),
        "{mission} {type} {year}-{month}-{day} {hour}:{minute}",
    ),
)


def short_name(identifier: str, width: int = 28) -> str:
    """Shorten a product's name to its distinctive fields.

    Parameters
    ----------
    identifier
        The product's name; control characters become ``?``.
    width
        The longest name that follows no known scheme; its middle is replaced by ``…``.

    Examples
    --------
    >>> short_name("S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718")
    'S2A L2A 2021-09-24 T15SYR'
    """
    for scheme, form in _SCHEMES:
        if match := scheme.match(identifier):
            return form.format_map({name: field.strip("_") for name, field in match.groupdict().items()})
    return elide(printable(identifier), width)
