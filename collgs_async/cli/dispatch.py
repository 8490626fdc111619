"""Load the settings of a command, and run it; what only one command needs is imported with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collgs_async.cli.console import run_with_signals
from collgs_async.cli.settings import has_selection, read_config, read_named, read_plan_settings, read_settings
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from argparse import Namespace

    from collgs_async.cli.console import ConsoleHandler

__all__ = ["dispatch"]


def dispatch(args: Namespace, console: ConsoleHandler) -> int:
    """Run a command, and return its exit code."""
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
