"""Run a command line and return its exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collgs_async.cli.console import ConsoleHandler, run_with_signals
from collgs_async.cli.values import flags_of, parse
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import CollgsError, ConfigError
from collgs_async.http.tls import put_off

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

__all__ = ["entry_point", "main"]

log = logging.getLogger("collgs_async")


def entry_point() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        _reopen_closed_streams()
        put_off()
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has ended; the interpreter's own flush at exit must not find the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _reopen_closed_streams() -> None:
    """Redirect output to the null device where the caller has closed it, as with ``>&-``."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (open for the whole process)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        Its words, without the program's name; None: those of this process.

    Returns
    -------
    int
        0 all is here, 1 something failed, 2 wrong usage or configuration, 130 Ctrl-C, 143 SIGTERM, 129 a hang-up.
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
        return dispatch(args, console)
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return 2
    except CollgsError as error:
        log.error("%s", error)
        return 1
    except BrokenPipeError:
        raise
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


def dispatch(args: Namespace, console: ConsoleHandler) -> int:
    if args.command in {"completion", "help"}:
        return _print_text(args)
    flags = flags_of(args)
    if args.command == "download" and not args.plan and _has_no_selection(args, flags):
        return _first_steps()
    from collgs_async.cli.commands import download

    match args.command:
        case "init":
            return download.initialise(args.file)
        case "demo":
            from collgs_async.cli.commands import demo

            return run_with_signals(demo.demo(args, flags, console))
        case "verify":
            config, folder = download.read_verify(args, flags)
            return run_with_signals(download.verify(folder, config, args, console))
        case "login":
            flags = (
                flags if not _has_no_selection(args, flags) else {"parameters.parentIdentifier": "S2_MSIL2A", **flags}
            )
            return run_with_signals(download.login(download.read_config(args, flags)))
        case "search":
            from collgs_async.cli.commands import search

            return run_with_signals(search.search(download.read_config(args, flags), args))
        case "quicklooks":
            from collgs_async.cli.commands import search

            return run_with_signals(search.quicklooks(download.read_config(args, flags)))
        case "collections" | "describe":
            return _query_catalogue(args, flags)
        case "plan":
            return _plan(args, flags)
        case _:
            return _download(args, flags, console)


def _download(args: Namespace, flags: dict[str, object], console: ConsoleHandler) -> int:
    """Download the products of a search, or of a plan."""
    from collgs_async.cli.commands import download

    if args.plan:
        from collgs_async.cli.commands import plan

        config = plan.load_plan_settings("--plan", args, flags)
    else:
        config = download.read_config(args, flags)
    return run_with_signals(download.download(config, args, console))


def _query_catalogue(args: Namespace, flags: dict[str, object]) -> int:
    """List collections, or describe one, whatever collection is configured."""
    from collgs_async.cli.commands import catalogue, download

    if args.command == "collections":
        config = download.read_settings(args, flags)
        return run_with_signals(catalogue.collections(config, args.format))
    named = {"parameters.parentIdentifier": args.name} if args.name else {}
    config = download.read_config(args, {**flags, **named})
    return run_with_signals(catalogue.describe(config, config.needed_query().collection, args.format))


def _plan(args: Namespace, flags: dict[str, object]) -> int:
    """Make a plan, or compare one with another or with the catalogue."""
    from collgs_async.cli.commands import download, plan

    if args.diff:
        config = plan.load_plan_settings("--diff", args, flags)
        return run_with_signals(plan.compare_plans(config, args))
    if args.file is None:
        raise ConfigError("plan: expected the name of a file to write, such as plan.json, found none")
    return run_with_signals(plan.make_plan(download.read_config(args, flags), args))


def _print_text(args: Namespace) -> int:
    """Run a command that needs neither settings nor catalogue."""
    if args.command == "help":
        from collgs_async.cli.commands.setup import help_text

        sys.stdout.write(help_text(args.topic))
    else:
        from collgs_async.cli.completion import completion_script

        sys.stdout.write(completion_script(args.shell))
    return 0


def _has_no_selection(args: Namespace, flags: dict[str, object]) -> bool:
    """Whether nothing selects what to search for: no file, no flag, no variable."""
    from collgs_async.cli.commands.download import DEFAULT_CONFIG

    selecting = [option for option in OPTIONS if option.group == "selection"]
    asked = any(key.startswith(("parameters.", "selection.")) for key in flags)
    asked |= any(os.environ.get(env_name(option)) for option in selecting)
    return not (args.config or asked or DEFAULT_CONFIG.exists())


def _first_steps() -> int:
    from collgs_async.cli.commands.download import DEFAULT_CONFIG, initialise

    log.error("nothing says what to search for: there is no config.json, and no option such as --collection was given")
    initialise(DEFAULT_CONFIG)
    return 2
