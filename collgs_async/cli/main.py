"""Run a command line and return its exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.cli.console import ConsoleHandler, run_with_signals
from collgs_async.cli.parser import parse
from collgs_async.cli.settings import has_selection, read_config, read_named, read_plan_settings, read_settings
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


def dispatch(args: Namespace, console: ConsoleHandler) -> int:
    """Load the settings of a command, and run it."""
    match args.command:
        case "help":
            from collgs_async.cli.help import help_text

            return _print(help_text(args.topic))
        case "completion":
            from collgs_async.cli.completion import completion_script

            return _print(completion_script(args.shell))
        case "init":
            from collgs_async.cli.commands.setup import initialise

            return initialise(args.file)
        case "login":
            from collgs_async.cli.commands.setup import login

            return login(args)
        case "demo":
            from collgs_async.cli.commands.demo import demo

            return run_with_signals(demo(args, console))
        case "verify":
            from collgs_async.cli.commands.verify import read_verify, verify

            return run_with_signals(verify(*read_verify(args), args, console))
        case "sync" | "retry" | "prune" | "status" | "ledger":
            return _keep(args, console)
        case "plan":
            return _plan(args)
        case "download":
            return _download(args, console)
        case _:
            return _list(args)


def _keep(args: Namespace, console: ConsoleHandler) -> int:
    """Keep a folder for years, or tell of one that is kept."""
    match args.command:
        case "status":
            from collgs_async.cli.commands.status import existing_ledger, status

            return run_with_signals(status(existing_ledger(read_settings(args, is_local=True)), args))
        case "ledger":
            from collgs_async.cli.commands.ledger import ledger_action

            return run_with_signals(ledger_action(args))
        case "prune":
            return _prune(args)
        case _:
            return _mirror(args, console)


def _list(args: Namespace) -> int:
    """List what the catalogue or the store has."""
    match args.command:
        case "search":
            from collgs_async.cli.commands.search import search

            return run_with_signals(search(read_config(args, has_parts=True), args))
        case "ls":
            from collgs_async.cli.commands.members import list_members

            return run_with_signals(list_members(*read_named(args), args.format))
        case "quicklooks":
            from collgs_async.cli.commands.search import quicklooks

            return run_with_signals(quicklooks(read_config(args), dry_run=args.dry_run))
        case "collections":
            from collgs_async.cli.commands.catalogue import collections

            return run_with_signals(collections(read_settings(args), args.format))
        case _:
            from collgs_async.cli.commands.catalogue import describe

            named = {"parameters.parentIdentifier": args.name} if args.name else {}
            return run_with_signals(describe(read_config(args, named), args.format))


def _prune(args: Namespace) -> int:
    """Remove what the policies say is not wanted any more."""
    from collgs_async.cli.commands.prune import check_policies, remove_unwanted
    from collgs_async.mirror.hooks import EndHook

    config = read_settings(args, needs_collection=False, is_local=True)
    check_policies(config)
    end = EndHook(None if args.dry_run else config.keep.on_end, args.command)
    return run_with_signals(remove_unwanted(config, end, dry_run=args.dry_run), end)


def _plan(args: Namespace) -> int:
    """Make a plan, or compare one with another or with the catalogue."""
    from collgs_async.cli.commands.plan import compare_plans, make_plan

    if args.diff:
        return run_with_signals(compare_plans(*read_plan_settings("--diff", args, args.diff), args))
    if args.exit_code:
        raise ConfigError("--exit-code: expected --diff beside it, found none")
    if args.file is None and not args.dry_run:
        raise ConfigError("plan: expected the name of a file to write, such as plan.json, found none")
    return run_with_signals(make_plan(read_config(args, has_parts=True), args))


def _download(args: Namespace, console: ConsoleHandler) -> int:
    """Download the products of a search, or of a plan."""
    if not args.plan and not has_selection(args):
        from collgs_async.cli.commands.setup import first_steps

        return first_steps()
    from collgs_async.cli.commands.download import download
    from collgs_async.mirror.hooks import EndHook

    plan = None
    if args.plan:
        plan, config = read_plan_settings("--plan", args, args.plan)
    else:
        config = read_config(args, has_parts=True)
    end = EndHook(None if args.dry_run else config.keep.on_end, args.command)
    return run_with_signals(download(config, args, console, plan, end=end), end)


def _mirror(args: Namespace, console: ConsoleHandler) -> int:
    """Keep a folder equal to the catalogue, or try again what failed."""
    from collgs_async.cli.commands.status import existing_ledger
    from collgs_async.cli.commands.sync import check_sync, retry, sync
    from collgs_async.mirror.hooks import EndHook

    if args.command == "retry":
        config = read_settings(args, has_parts=True)
        existing_ledger(config)
        end = EndHook(config.keep.on_end, args.command)
        return run_with_signals(retry(config, args, console, end=end), end)
    config = read_config(args, has_parts=True)
    check_sync(config, args)
    end = EndHook(None if args.dry_run else config.keep.on_end, args.command)
    return run_with_signals(sync(config, args, console, end=end), end)


def _print(text: str) -> int:
    sys.stdout.write(text)
    return 0
