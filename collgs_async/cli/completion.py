"""Completion scripts for three shells, generated from the tree of commands.

Each script is self-contained: completing does not start Python. The names of collections are read from the file that
`known_collections` writes.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.cli.topics import TOPICS
from collgs_async.config.settings import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["completion_script"]

_CHOICES: Final = {**{option.key: option.choices for option in OPTIONS}, "topic": (*TOPICS, *COMMANDS)}
"""Values of what argparse itself does not restrict."""


_ITEMS: Final = {option.key: option.items for option in OPTIONS if option.items}
"""Items of lists with commas."""

_Takes: TypeAlias = Literal["nothing", "text", "file", "folder", "collection", "list"]


@dataclass(frozen=True, slots=True)
class _Word:
    """A flag or an argument, and its values.

    Attributes
    ----------
    names
        Of a flag; empty for an argument.
    help
        Its purpose.
    takes
        The kind of its value; "nothing" for a switch.
    choices
        The only values, or items of a list; empty: many.
    """

    names: tuple[str, ...]
    help: str
    takes: _Takes
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Command:
    """A command with its words."""

    name: str
    help: str
    flags: tuple[_Word, ...]
    argument: _Word | None


_Commands: TypeAlias = list[_Command]


def completion_script(shell: str) -> str:
    """Return the completion script for bash, zsh or fish."""
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return "\n".join(script([_command(name) for name in COMMANDS])) + "\n"


def _command(name: str) -> _Command:
    words = [_word(action) for action in command_parser(name)._actions if action.help != argparse.SUPPRESS]  # noqa: SLF001
    argument = next((word for word in words if not word.names), None)
    return _Command(name, COMMANDS[name].help, tuple(word for word in words if word.names), argument)


def _word(action: argparse.Action) -> _Word:
    metavar = str(action.metavar)
    takes: _Takes = "text"
    if action.nargs == 0:
        takes = "nothing"
    elif "FILE" in metavar:
        takes = "file"
    elif "DIR" in metavar:
        takes = "folder"
    elif action.dest == "parameters.parentIdentifier" or metavar == "COLLECTION":
        takes = "collection"
    elif action.dest in _ITEMS:
        takes = "list"
    choices = tuple(map(str, action.choices or _ITEMS.get(action.dest) or _CHOICES.get(action.dest, ())))
    return _Word(tuple(action.option_strings), (action.help or "").replace("%%", "%"), takes, choices)


def _valued(commands: _Commands) -> list[str]:
    """Return every flag that takes a value, so that the word after it is not a command."""
    return sorted({name for one in commands for flag in one.flags for name in flag.names if flag.takes != "nothing"})


def _command_filter(commands: _Commands) -> str:
    """Return shell code, for bash and zsh, that skips the values of flags to find the command."""
    return f"""case $word in
        {"|".join(_valued(commands))}) waiting=1 ;;
        {"|".join(one.name for one in commands)}) command=${{command:-$word}} ;;
      esac"""


# ---------------------------------------------------------------------------------------------------------- bash


def _bash(commands: _Commands) -> Iterator[str]:
    """Yield the script for bash, which matches by prefix only, and splits words at an equals sign."""
    yield from f"""\
# collgs-async: completion for bash. Load it with: source <(collgs-async completion bash)
_collgs_async() {{
  local word current previous command= waiting= at
  current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  if [[ $current == "=" ]]; then
    current=
  elif [[ $previous == "=" ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=${{COMP_WORDS[at]}}
    if [[ $word == "=" ]]; then
      waiting=1
    elif [[ -n $waiting ]]; then
      waiting=
    else
      {_command_filter(commands)}
    fi
  done
  COMPREPLY=()
  case ${{command:-download}} in""".splitlines()
    for command in commands:
        yield f"    {command.name})"
        yield "      case $previous in"
        for flag in command.flags:
            if flag.takes != "nothing":
                yield f"        {'|'.join(flag.names)}) {_bash_values(flag)}; return ;;"
        yield "      esac"
        flags = [name for flag in command.flags for name in flag.names]
        yield f"      if [[ $current == -* ]]; then _collgs_async_among {shlex.quote(' '.join(flags))}; return; fi"
        if command.argument:
            yield f"      [[ -n $command ]] && {{ {_bash_values(command.argument)}; return; }}"
        yield "      ;;"
    yield from f"""\
  esac
  [[ -n $command ]] || _collgs_async_among '{" ".join(one.name for one in commands)}'
}}
_collgs_async_among() {{
  compopt +o default 2>/dev/null
  COMPREPLY=($(compgen -W "$1" -- "$current"))
}}
_collgs_async_list() {{
  local before=
  [[ $current == *,* ]] && before=${{current%,*}},
  compopt +o default -o nospace 2>/dev/null
  COMPREPLY=($(compgen -P "$before" -W "$1" -- "${{current##*,}}"))
}}
_collgs_async_collections() {{
  local name cache=$HOME/.cache
  [[ ${{XDG_CACHE_HOME-}} == /* ]] && cache=$XDG_CACHE_HOME
  compopt +o default 2>/dev/null
  while IFS= read -r name; do
    [[ $name == "$current"* ]] && COMPREPLY+=("$name")
  done 2>/dev/null <"$cache/collgs-async/collections"
}}
_collgs_async_folders() {{
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -d -- "$current"))
}}
complete -o default -F _collgs_async collgs-async""".splitlines()


def _bash_values(word: _Word) -> str:
    if word.choices:
        function = "_collgs_async_list" if word.takes == "list" else "_collgs_async_among"
        return f"{function} {shlex.quote(' '.join(word.choices))}"
    # Bash itself completes files where the script returns nothing.
    completers = {"file": ":", "folder": "_collgs_async_folders", "collection": "_collgs_async_collections"}
    return completers.get(word.takes, "_collgs_async_among ''")


# ----------------------------------------------------------------------------------------------------------- zsh


def _zsh(commands: _Commands) -> Iterator[str]:
    yield from f"""\
#compdef collgs-async
# collgs-async: completion for zsh. Put it as _collgs-async into a folder of $fpath, or load it with:
# source <(collgs-async completion zsh)
_collgs_async() {{
  local word command= waiting=
  for word in ${{words[2,CURRENT-1]}}; do
    if [[ -n $waiting ]]; then
      waiting=
    else
      {_command_filter(commands)}
    fi
  done
  local -a commands=(""".splitlines()
    for command in commands:
        yield f"    {shlex.quote(f'{command.name}:{command.help}')}"
    yield "  )"
    yield "  local first='1:command:{_describe command commands}'"
    yield "  [[ -n $command ]] && first='1:command: '"
    yield "  case ${command:-download} in"
    for command in commands:
        yield f"    {command.name})"
        yield "      _arguments -S \\"
        for flag in command.flags:
            for name in flag.names:
                yield f"        {shlex.quote(_zsh_flag(name, flag))} \\"
        if command.argument:
            yield f"        {shlex.quote(f'*:{_zsh_value(command.argument)}')} \\"
        yield "        $first"
        yield "      ;;"
    yield from """\
  esac
}
_collgs_async_collections() {
  local cache=$HOME/.cache
  [[ ${XDG_CACHE_HOME-} == /* ]] && cache=$XDG_CACHE_HOME
  local -a names
  [[ -r $cache/collgs-async/collections ]] && names=(${(f)"$(<$cache/collgs-async/collections)"})
  compadd -a names
}
if [[ ${funcstack[1]} == _collgs-async ]]; then
  _collgs_async "$@"
else
  compdef _collgs_async collgs-async
fi""".splitlines()


def _zsh_flag(name: str, flag: _Word) -> str:
    words = "".join(f"\\{letter}" if letter in r"\[]:" else letter for letter in flag.help)
    if flag.takes == "nothing":
        return f"{name}[{words}]"
    return f"{name}{'=' if name.startswith('--') else '+'}[{words}]:{_zsh_value(flag)}"


def _zsh_value(word: _Word) -> str:
    """Return the name and the choices of a value, in the syntax of ``_arguments``."""
    if word.takes == "list":
        return f"list:_sequence compadd - {' '.join(word.choices)}"
    if word.choices:
        return f"value:({' '.join(word.choices)})"
    completers = {
        "file": "file:_files",
        "folder": "folder:_files -/",
        "collection": "collection:_collgs_async_collections",
    }
    return completers.get(word.takes, "value: ")


# ---------------------------------------------------------------------------------------------------------- fish


def _fish(commands: _Commands) -> Iterator[str]:
    yield from f"""\
# collgs-async: completion for fish. Put it into ~/.config/fish/completions/collgs-async.fish
function __collgs_async_is
    set -l waiting
    set -l command
    for word in (commandline -opc)[2..]
        if test -n "$waiting"
            set waiting
            continue
        end
        switch $word
            case {" ".join(_valued(commands))}
                set waiting yes
            case {" ".join(one.name for one in commands)}
                test -n "$command"; or set command $word
        end
    end
    test -n "$command"; or set command none
    contains -- $command $argv
end
function __collgs_async_collections
    set -l cache ~/.cache
    string match -q '/*' -- "$XDG_CACHE_HOME"; and set cache $XDG_CACHE_HOME
    test -r $cache/collgs-async/collections; and cat $cache/collgs-async/collections
end
function __collgs_async_list
    set -l before (commandline -ct | string replace -r '^--[a-z-]+=' '' | string match -r '^.*,')
    printf '%s\\n' "$before"$argv
end
complete -c collgs-async -f""".splitlines()
    for command in commands:
        yield f"complete -c collgs-async -n '__collgs_async_is none' -a {command.name} -d {_fish_quoted(command.help)}"
    owners: dict[_Word, list[str]] = {}
    for command in commands:
        for flag in command.flags:  # flags without a command are those of a download
            owners.setdefault(flag, []).append("none download" if command.name == "download" else command.name)
    for flag, names in owners.items():
        condition = _fish_quoted(f"__collgs_async_is {' '.join(names)}")
        spelled = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
        yield f"complete -c collgs-async -n {condition} {spelled}{_fish_value(flag)} -d {_fish_quoted(flag.help)}"
    for command in commands:
        if command.argument:
            condition = _fish_quoted(f"__collgs_async_is {command.name}")
            yield f"complete -c collgs-async -n {condition}{_fish_value(command.argument)}"


def _fish_value(word: _Word) -> str:
    if word.takes == "nothing":
        return ""
    required = " -r" if word.names else ""
    if word.takes == "list":
        items = " ".join(word.choices)
        return f"{required} -f -a {_fish_quoted(f'(__collgs_async_list {items})')}"
    if word.choices:
        return f"{required} -f -a {_fish_quoted(' '.join(word.choices))}"
    if word.takes == "file":
        return f"{required} -F"
    completers = {"folder": "__fish_complete_directories", "collection": "__collgs_async_collections"}
    return f"{required} -f" + (f" -a '({completers[word.takes]})'" if word.takes in completers else "")


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
