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
        _open_what_is_closed()
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


def _open_what_is_closed() -> None:
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
    screen = ConsoleHandler()
    log.addHandler(screen)
    log.setLevel(logging.INFO)
    log.propagate = False
    words = sys.argv[1:] if argv is None else argv
    screen.as_json = "--log-json" in words  # also for errors in the command line itself
    try:
        found = parse(words)
        log.setLevel(logging.DEBUG if found.verbose else logging.ERROR if found.quiet else logging.INFO)
        return dispatch(found, screen)
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
        log.removeHandler(screen)


def dispatch(found: Namespace, screen: ConsoleHandler) -> int:
    if found.command in {"completion", "help"}:
        return _tell(found)
    flags = flags_of(found)
    if found.command == "download" and not found.plan and _has_no_selection(found, flags):
        return _first_steps()
    from collgs_async.cli.commands import download

    match found.command:
        case "init":
            return download.initialise(found.file)
        case "demo":
            from collgs_async.cli.commands import demo

            return run_with_signals(demo.demo(found, flags, screen))
        case "verify":
            config, folder = download.read_verify(found, flags)
            return run_with_signals(download.verify(folder, config, found, screen))
        case "login":
            flags = (
                flags if not _has_no_selection(found, flags) else {"parameters.parentIdentifier": "S2_MSIL2A", **flags}
            )
            return run_with_signals(download.login(download.read_config(found, flags)))
        case "search":
            from collgs_async.cli.commands import search

            return run_with_signals(search.search(download.read_config(found, flags), found))
        case "quicklooks":
            from collgs_async.cli.commands import search

            return run_with_signals(search.quicklooks(download.read_config(found, flags)))
        case "collections" | "describe":
            return _ask(found, flags)
        case "plan":
            return _plan(found, flags)
        case _:
            return _download(found, flags, screen)


def _download(found: Namespace, flags: dict[str, object], screen: ConsoleHandler) -> int:
    """Download the products of a search, or of a plan."""
    from collgs_async.cli.commands import download

    if found.plan:
        from collgs_async.cli.commands import plan

        config = plan.load_plan_settings("--plan", found, flags)
    else:
        config = download.read_config(found, flags)
    return run_with_signals(download.download(config, found, screen))


def _ask(found: Namespace, flags: dict[str, object]) -> int:
    """List collections, or describe one, whatever collection is configured."""
    from collgs_async.cli.commands import catalogue, download

    if found.command == "collections":
        config = download.read_settings(found, flags)
        return run_with_signals(catalogue.collections(config, found.format))
    named = {"parameters.parentIdentifier": found.name} if found.name else {}
    config = download.read_config(found, {**flags, **named})
    return run_with_signals(catalogue.describe(config, config.needed_query().collection, found.format))


def _plan(found: Namespace, flags: dict[str, object]) -> int:
    """Make a plan, or compare one with another or with the catalogue."""
    from collgs_async.cli.commands import download, plan

    if found.diff:
        config = plan.load_plan_settings("--diff", found, flags)
        return run_with_signals(plan.compare_plans(config, found))
    if found.file is None:
        raise ConfigError("plan: expected the name of a file to write, such as plan.json, found none")
    return run_with_signals(plan.make_plan(download.read_config(found, flags), found))


def _tell(found: Namespace) -> int:
    """Run a command that needs neither settings nor catalogue."""
    if found.command == "help":
        from collgs_async.cli.commands.setup import help_text

        sys.stdout.write(help_text(found.topic))
    else:
        from collgs_async.cli.completion import completion_script

        sys.stdout.write(completion_script(found.shell))
    return 0


def _has_no_selection(found: Namespace, flags: dict[str, object]) -> bool:
    """Whether nothing selects what to search for: no file, no flag, no variable."""
    from collgs_async.cli.commands.download import DEFAULT_CONFIG

    selecting = [option for option in OPTIONS if option.group == "selection"]
    asked = any(key.startswith(("parameters.", "selection.")) for key in flags)
    asked |= any(os.environ.get(env_name(option)) for option in selecting)
    return not (found.config or asked or DEFAULT_CONFIG.exists())


def _first_steps() -> int:
    from collgs_async.cli.commands.download import DEFAULT_CONFIG, initialise

    log.error("nothing says what to search for: there is no config.json, and no option such as --collection was given")
    initialise(DEFAULT_CONFIG)
    return 2
