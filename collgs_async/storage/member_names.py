"""Turn the names of an archive's members into paths of files, none of which can lie outside the folder.

Names come from a server and may be anything. A name is refused rather than changed if one of the usual systems could
not store it, would store it elsewhere, or could not tell it from another one: trees are copied between systems.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from operator import itemgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RECORD", "TEMPORARY", "is_folder", "name_problem", "refuse_twins", "safe_path", "twins"]

RECORD: Final = "parts.json"
"""Name of the record at the top of a tree."""

TEMPORARY: Final = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names at the top of a tree of files that are not complete."""

_LONGEST_COMPONENT: Final = 255
_LONGEST_PATH: Final = 1024
"""Maximum lengths in bytes of UTF-8; Linux has 255 and 4096 (with the output folder), macOS 255 and 1024."""

_WINDOWS: Final = '<>:"|?*\\'
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|\Z)")
_SEPARATOR: Final = "\0"
"""It is lower than any character of a name, so that names in order have each folder right before what is in it."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")


def is_folder(name: str) -> bool:
    """Whether a member is an entry for a folder, which has no data."""
    return name.endswith("/")


def safe_path(name: str) -> PurePosixPath:
    """Return the path of a member below the folder of its archive.

    Parameters
    ----------
    name
        Name of the member, as the directory has it; a slash at its end is ignored.

    Returns
    -------
    PurePosixPath
        A relative path of one component or more, none of which is ``..``.

    Raises
    ------
    IntegrityError
        The name is absolute, too long, or reserved, or contains ``..``, a drive, a backslash, or characters that are
        not printable.
    """
    if problem := name_problem(name):
        raise IntegrityError(f"{quoted(name)} cannot be the name of a file here: {problem}")
    return PurePosixPath(name)


def name_problem(name: str) -> str | None:
    """Describe why a name cannot be that of a file here; None if it can."""
    if not name.isprintable():
        return "it has characters that are not printable"
    if name.startswith("/"):
        return "it is absolute"
    if _DRIVE.match(name):
        return "it begins with a drive"
    if found := next((letter for letter in name if letter in _WINDOWS), None):
        return "it has a backslash" if found == "\\" else f"it has a {found}"
    if len(name.encode()) > _LONGEST_PATH:
        return f"it is longer than {_LONGEST_PATH} bytes"
    components = PurePosixPath(name).parts
    if not components:
        return "it is empty"
    # The top folder has the record and the unfinished files.
    if components[0].casefold() == RECORD or TEMPORARY.fullmatch(components[0].casefold()):
        return "it is reserved"
    return next(filter(None, map(_problem_of_component, components)), None)


def _problem_of_component(component: str) -> str | None:
    if component == "..":
        return "it leaves the folder"
    if component[-1] in ". ":
        return "a part of it ends with a dot or a space"
    if _RESERVED.match(component):
        return "a part of it is reserved by Windows"
    if len(component.encode()) > _LONGEST_COMPONENT:
        return f"a part of it is longer than {_LONGEST_COMPONENT} bytes"
    return None


def refuse_twins(names: Iterable[str]) -> None:
    """Refuse names that some file systems cannot store beside each other.

    Raises
    ------
    IntegrityError
        With the first name, by alphabet, that `twins` returns.
    """
    if found := twins(names):
        name = min(found)
        raise IntegrityError(f"{quoted(name)} is not the only member that would have this name on some file systems")


def twins(names: Iterable[str]) -> frozenset[str]:
    """Return the names of files that occur twice, differ from another one in case or Unicode form only, or are folders.

    Parameters
    ----------
    names
        Names of all members of an archive, with those of folders. Names that `safe_path` refuses are ignored.
    """
    keys = sorted((_key(name), name) for name in names if not name_problem(name))
    groups = [(key, [name for _, name in group]) for key, group in groupby(keys, key=itemgetter(0))]
    following = [key for key, _ in groups[1:]] + [""]
    return frozenset(
        name
        for (key, alike), after in zip(groups, following, strict=False)
        if len(alike) > 1 or after.startswith(key + _SEPARATOR)
        for name in alike
        if not is_folder(name)
    )


def _key(name: str) -> str:
    """Return what names have in common that some file systems cannot tell apart; a folder is right before its files."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return str(PurePosixPath(folded)).replace("/", _SEPARATOR)
