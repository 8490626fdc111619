"""``download``: fetch all products of a search or a plan, or list them in a dry run."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.cli.nothing import describe_nothing
from collgs_async.client import Client
from collgs_async.errors import CollgsError, ConfigError
from collgs_async.mirror.hooks import ArchiveHooks
from collgs_async.models.report import Report
from collgs_async.reporting.run_report import bare_message, summary_entry
from collgs_async.reporting.summary import missing_lines, summary_lines

if TYPE_CHECKING:
    from argparse import Namespace

    from collgs_async.cli.console import ConsoleHandler
    from collgs_async.config.settings import Config
    from collgs_async.mirror.hooks import EndHook
    from collgs_async.reporting.colour import Colour
    from collgs_async.selection.plan import Plan

__all__ = ["download"]

log = logging.getLogger("collgs_async")


async def download(
    config: Config, args: Namespace, console: ConsoleHandler, plan: Plan | None = None, *, end: EndHook
) -> int:
    """Download all matching products, or those of a plan; `end` gets the summary for the command of ``--on-end``."""
    _check_listing_flags(args)
    if plan is not None:
        plan = plan.with_wish(config.parts.wish)
    if args.dry_run:
        from collgs_async.cli.commands.search import search

        return await search(config, args, plan)
    async with ArchiveHooks(config.keep.on_archive) as hooks:
        return await _download(config, args, console, plan, hooks, end)


async def _download(
    config: Config, args: Namespace, console: ConsoleHandler, plan: Plan | None, hooks: ArchiveHooks, end: EndHook
) -> int:
    failure: CollgsError | None = None
    interrupted = False
    nothing: list[str] = []
    with ExitStack() as display:
        client = Client(config, display.enter_context(console.progress(config, args)))
        try:
            async with client:
                if plan is None:
                    nothing = await _download_all(client, args, hooks)
                else:
                    await client.download_plan(plan, report=args.report, on_outcome=hooks.add)
        except ConfigError:
            raise
        except CollgsError as error:
            failure = error
        except asyncio.CancelledError:
            interrupted = True
            raise
        finally:
            display.close()  # what follows comes after the bars
            end.summary = {**summary_entry(client.report), "output": config.destination}
            if failure is not None:
                log.error("%s", failure)
                end.summary["error"] = bare_message(failure)
            if interrupted or client.report != Report():
                _log_summary(client.report, config, nothing, interrupted=interrupted)
    return 1 if failure is not None else _exit_code(client.report)


def _exit_code(report: Report) -> int:
    """Return 3 for a run that only a limit has stopped; a failure beside it counts more."""
    if report.ok:
        return 0
    return 3 if _is_only_limited(report) else 1


def _is_only_limited(report: Report) -> bool:
    """Whether a limit that was asked for is the only reason why not everything is here."""
    return report.limit is not None and replace(report, stopped_by=None).ok


def _log_summary(report: Report, config: Config, nothing: list[str], *, interrupted: bool) -> None:
    """Log a summary: as errors what is a reason for exit code 1 that no message before has told, also with ``-q``."""
    headline, *rest = summary_lines(report, config.store_url or config.folder, interrupted=interrupted)
    level = logging.ERROR if report.elsewhere and not interrupted else logging.INFO
    log.log(level, "%s", headline, extra={"colour": _colour(report, interrupted=interrupted)})
    untold = missing_lines(report.missing)
    for line in [*rest, *nothing]:
        log.log(logging.ERROR if line in untold else logging.INFO, "%s", line)


async def _download_all(client: Client, args: Namespace, hooks: ArchiveHooks) -> list[str]:
    """Download all that the search finds; return what to say if that is nothing."""
    selected = client.search()
    report = await client.download_all(selected, report=args.report, on_outcome=hooks.add)
    if report.found or report.missing or report.search_error or report.limit:
        return []
    return await describe_nothing(client, report.left_out, selected.area.box if selected.area else None)


def _colour(report: Report, *, interrupted: bool) -> Colour:
    """Return the colour of the headline of a summary."""
    if interrupted or _is_only_limited(report):
        return "yellow"
    return "green" if report.ok else "red"


def _check_listing_flags(args: Namespace) -> None:
    """Refuse listing options without a listing: a user who wants to look must not start a download of terabytes."""
    given = {"--map": args.map, "--sort": args.sort, "--sizes": args.sizes, "--format": args.format != "table"}
    for flag, value in given.items():
        if value and not args.dry_run:
            raise ConfigError(f"{flag}: expected --dry-run or the command search beside it, found neither")
