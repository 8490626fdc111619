"""Run a command line and return its exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.cli.console import ConsoleHandler
from collgs_async.cli.parser import parse
from collgs_async.errors import AlreadyRunningError, CollgsError, ConfigError
from collgs_async.http.tls import import_aiohttp

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

__all__ = ["entry_point", "main"]

log = logging.getLogger("collgs_async")

_LOCAL: Final = frozenset({"help", "completion", "init", "ledger", "prune", "status", "verify"})
"""Commands that need no network, except for `verify --repair`."""

_LISTINGS: Final = frozenset({"search", "collections", "describe", "ls", "ledger", "status"})


def entry_point() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        has_stdout = sys.stdout is not None
        _reopen_closed_streams()
        code = main(own_process=True, has_stdout=has_stdout)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _reopen_closed_streams() -> None:
    """Redirect output to the null device where the caller has closed it, as with ``>&-``."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (open for the whole process)


def main(argv: Sequence[str] | None = None, *, own_process: bool = False, has_stdout: bool = True) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        Its words, without the program's name; None: those of this process.
    own_process
        Whether no other code in this process uses aiohttp, so that it may be imported faster.
    has_stdout
        Whether standard output was open when the process started.

    Returns
    -------
    int
        0 all is here, 1 something failed, 2 wrong usage or configuration, 3 stopped at a limit that was asked for, 4
        another run is at work in the folder, 130 Ctrl-C, 143 SIGTERM, 129 a hang-up.
    """
    console = ConsoleHandler()
    log.addHandler(console)
    log.setLevel(logging.INFO)
    log.propagate = False
    words = sys.argv[1:] if argv is None else argv
    console.as_json = "--log-json" in words  # also for errors in the command line itself
    try:
        args = parse(words)
        log.setLevel(logging.DEBUG if args.verbose else logging.ERROR if args.quiet else logging.INFO)
        if not has_stdout and _needs_stdout(args):
            log.error("standard output is closed, and the result would go there")
            return 1
        if own_process and args.command not in _LOCAL:
            import_aiohttp()
        from collgs_async.cli.dispatch import dispatch  # deferred: --help and --version have ended by now

        code = dispatch(args, console)
        sys.stdout.flush()
        return code
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return 2
    except AlreadyRunningError as error:
        log.error("%s", error)
        return 4
    except CollgsError as error:
        log.error("%s", error)
        return 1
    except BrokenPipeError:
        if own_process:  # the interpreter's own flush at exit must not find the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0 if _is_for_reading(args) else 1
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        log.error("the system gives no thread to work in: too many processes, or too little memory")
        return 1
    except OSError as error:
        log.error("%s: %s", error.filename or "standard output", error.strerror)
        return 1
    finally:
        log.removeHandler(console)


def _needs_stdout(args: Namespace) -> bool:
    """Whether a command's result goes to standard output; messages and the paths of files are no result."""
    from collgs_async.storage.atomic import STDOUT  # slow to import, and few processes start without standard output

    listing = args.command in _LISTINGS or any(getattr(args, name, None) for name in ("dry_run", "diff"))
    return listing or any(getattr(args, name, None) == STDOUT for name in ("report", "map", "file"))


def _is_for_reading(args: Namespace) -> bool:
    """Whether the result is a text of which a reader, such as `head`, may take as much as it wants.

    That is no file, such as a report; nor does it matter whether the command has come to its end.
    """
    if getattr(args, "report", None) is not None or getattr(args, "exit_code", False):
        return False
    named = any(getattr(args, name, None) for name in ("dry_run", "diff"))
    return named or args.command in _LISTINGS | {"help", "completion"} or "list" in getattr(args, "fault", ())
