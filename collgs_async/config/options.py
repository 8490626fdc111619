"""A setting as a row: its flag, help, kind of value and default.

`settings` has the rows. Command line, environment, configuration file, help and messages all derive from them, so this
module must be quick to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from collgs_async.config.kinds import CREDENTIALS, SWITCH, Kind, redact_url
from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GROUPS", "Group", "Option", "Section", "env_name", "is_secret", "part", "search_parameter", "setting"]

_SECRETS = {"username", "user", "password", "credentials", "auth", "token"}

Group: TypeAlias = Literal["selection", "parts", "output", "keep", "transfer", "connection"]
"""Headings of the help."""

GROUPS: tuple[Group, ...] = ("selection", "parts", "output", "keep", "transfer", "connection")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, whatever its source.

    Attributes
    ----------
    key
        Its dotted path in the configuration, such as ``download_options.chunk_size``.
    flag
        Its name on the command line, such as ``--chunk-size``; a switch also has a ``--no-`` form.
    metavar
        The placeholder for its value in the help; empty for a switch, which has none.
    kind
        The valid values.
    group
        Its heading in the help.
    help
        Its purpose, in one line.
    default
        The value when nothing else is given; None: nothing, or no limit.
    short
        A second flag of one letter, such as ``-j``; empty: none.
    """

    key: str
    flag: str
    metavar: str
    kind: Kind
    group: Group
    help: str
    default: str | float | bool | None = None
    short: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """Its names on the command line, the short one first."""
        return (self.short, self.flag) if self.short else (self.flag,)

    @property
    def keyword(self) -> str:
        """Its name in Python, such as ``chunk_size``: the last part of the key; of search parameters, that of the flag.

        So search parameters have the names that `Query.create` gives them.
        """
        if self.key.startswith("parameters."):
            return self.flag.removeprefix("--").replace("-", "_")
        return self.key.rpartition(".")[2]

    @property
    def choices(self) -> tuple[str, ...]:
        """The only valid values; empty: many."""
        return self.kind.choices

    @property
    def items(self) -> tuple[str, ...]:
        """The valid items of a list with commas; empty: many, or it is no list."""
        return self.kind.items

    @property
    def is_switch(self) -> bool:
        """Whether it is boolean, and so takes no value on the command line."""
        return self.kind is SWITCH


def setting(
    flag: str,
    metavar: str,
    kind: Kind,
    *,
    default: Any,
    help: str,  # noqa: A002  (as the attribute)
    group: Group | None = None,
    short: str = "",
) -> Any:
    """Declare a field of a section.

    Parameters
    ----------
    flag, metavar, kind, help, short
        As in `Option`; without a placeholder, the choices of the kind are one.
    default
        The value when nothing else is given. None makes None a valid value.
    group
        The heading of the help; None: that of the section.
    """
    words = metavar or "|".join(kind.choices)
    row = {"flag": flag, "metavar": words, "kind": kind, "group": group, "help": help, "short": short}
    return field(default=default, metadata=row)


def env_name(option: Option) -> str:
    """Return the environment variable of an option: ``--chunk-size`` has ``COLLGS_CHUNK_SIZE``."""
    return "COLLGS_" + option.flag.removeprefix("--").replace("-", "_").upper()


def search_parameter(words: str) -> tuple[str, str]:
    """Split the KEY=VALUE of ``--set``; the value may contain equals signs, or be empty.

    Raises
    ------
    ValueError
        There is no equals sign, or no key before it.
    """
    key, equals, value = words.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"expected KEY=VALUE, found {words!r}")
    return key.strip(), value


@dataclass(frozen=True, init=False, repr=False)
class Section:
    """A section of settings; `dataclasses.replace` validates the copy as well.

    Raises
    ------
    ConfigError
        With one line per invalid value.
    """

    prefix: ClassVar[str] = ""
    group: ClassVar[Group] = "connection"

    def __init__(self, /, **values: Any) -> None:
        problems: list[str] = []
        for one in fields(self):
            try:
                value = self._read(one, values.pop(one.name)) if one.name in values else _default(one)
            except ConfigError as error:
                problems += error.problems
            else:
                object.__setattr__(self, one.name, value)
        problems += [_unknown(self.prefix + name) for name in values]
        if not problems:
            problems += self._contradictions()
        if problems:
            raise ConfigError(problems)

    def __init_subclass__(cls) -> None:
        """Document each setting in the docstring, from its help."""
        rows = {name: row.metadata for name, row in vars(cls).items() if isinstance(row, Field) and row.metadata}
        lines = [f"    {name}\n        {row['help']}." for name, row in rows.items() if "help" in row]
        heading = [] if "Attributes\n" in (cls.__doc__ or "") else ["", "    Attributes", "    ----------"]
        cls.__doc__ = "\n".join([(cls.__doc__ or "").rstrip(), *heading, *lines, "    "])

    def _read(self, one: Field[Any], value: object) -> Any:
        if value is None and one.default is None:
            return None
        kind: Kind = one.metadata["kind"]
        return kind.check(self.prefix + one.name, value)

    def _contradictions(self) -> Iterator[str]:
        """Yield errors in combinations of values that are valid by themselves."""
        return iter(())

    def __repr__(self) -> str:
        """Show the values that differ from their defaults, without passwords."""
        shown_as = [f"{one.name}={self._format(one, value)}" for one, value in self._changed()]
        return f"{type(self).__name__}({', '.join(shown_as)})"

    def _format(self, one: Field[Any], value: object) -> str:
        kind: Kind = one.metadata["kind"]
        return repr(redact_url(value) if kind.may_hold_password and isinstance(value, str) else value)

    def _changed(self) -> Iterator[tuple[Field[Any], Any]]:
        """Yield each field whose value differs from its default."""
        for one in fields(self):
            if (value := getattr(self, one.name)) != _default(one):
                yield one, value

    @classmethod
    def options(cls) -> Iterator[Option]:
        """Yield the settings of this section."""
        for one in fields(cls):
            if "flag" in one.metadata:
                row = {**one.metadata, "group": one.metadata["group"] or cls.group}
                default: Any = None if one.default == () else one.default
                default = str(default) if isinstance(default, Path) else default
                yield Option(key=cls.prefix + one.name, default=default, **row)


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def part(section: type[Section]) -> Any:
    """Declare a field that holds a section, which may be given as a mapping."""

    def read(value: object) -> Section:
        if isinstance(value, section):
            return value
        if not isinstance(value, Mapping):
            raise ValueError  # noqa: TRY004  (as all readers of `kinds`)
        return section(**{str(key): item for key, item in value.items()})

    return field(default_factory=section, metadata={"kind": Kind("an object", read)})


def is_secret(name: str) -> bool:
    """Whether a key or keyword asks for a password, which no setting holds."""
    return name.lower() in _SECRETS


def _unknown(key: str) -> str:
    """Return the error for an unknown key, with a suggestion."""
    printable = key if key.isprintable() else quote_value(key)
    section, _, name = key.rpartition(".")
    if is_secret(name):
        return f"{printable}: unknown key; {CREDENTIALS}"
    import difflib  # deferred: only errors need it

    from collgs_async.config.settings import KNOWN_KEYS  # deferred: it has all sections, which derive from this class

    near = difflib.get_close_matches(name, KNOWN_KEYS, n=1, cutoff=0.7)
    if not near:
        return f"{printable}: unknown key"
    meant_section, _, meant_name = KNOWN_KEYS[near[0]].rpartition(".")
    return f"{printable}: unknown key; did you mean {meant_name if meant_section == section else KNOWN_KEYS[near[0]]}?"
