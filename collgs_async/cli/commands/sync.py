"""``sync`` and ``retry``: keep a folder equal to what the catalogue lists, and try again what failed."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from collgs_async.client import Client
from collgs_async.errors import AlreadyRunningError, CollgsError, ConfigError
from collgs_async.http.messages import printable
from collgs_async.mirror.sync import Sync
from collgs_async.models.text import plural
from collgs_async.reporting.sync_summary import done_lines, found_lines, left_lines, revalidated_lines, trouble_lines

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from collgs_async.cli.console import ConsoleHandler
    from collgs_async.config.settings import Config
    from collgs_async.mirror.hooks import EndHook
    from collgs_async.mirror.retry import Retry
    from collgs_async.models.product import Product

__all__ = ["check_sync", "retry", "sync"]

log = logging.getLogger("collgs_async")

_FETCHED: Final = frozenset({"new", "missing", "due"})


def check_sync(config: Config, args: Namespace) -> None:
    """Refuse what would make a folder differ from the catalogue, and say what is left aside.

    Raises
    ------
    ConfigError
        With one line per setting that has no place beside `sync`.
    """
    problems: list[str] = []
    if "parameters.count" in args.flags:
        problems.append("--count: expected no number of products beside sync, which keeps all of them, found one")
    for name, why in (("best_per", "a choice that depends on all others"), ("ids", "a list of products")):
        if getattr(config.selection, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            problems.append(f"{flag}: expected none beside sync, which keeps all that is listed, found {why}")
    if args.format != "table" and not args.dry_run:
        problems.append("--format: expected --dry-run beside it, found none")
    if args.plan and not args.dry_run:
        problems.append("--plan: expected --dry-run beside it, whose result is written as a plan, found none")
    if problems:
        raise ConfigError(problems)
    query = config.needed_query()
    if query.count is not None:
        log.info("note: count is left aside: sync keeps all that is listed")
    if query.start_index > 1:
        log.info("note: startIndex is left aside: sync keeps all that is listed")


async def sync(config: Config, args: Namespace, console: ConsoleHandler, *, end: EndHook) -> int:
    """Make the folder equal to what the catalogue lists; `end` gets the summary for the command of ``--on-end``."""
    if args.dry_run:
        return await _rehearse(config, args)
    with ExitStack() as display:
        client = Client(config, display.enter_context(console.progress(config, args)))
        work = Sync(client, believe=args.believe, ignore_missing=args.ignore_missing, report=args.report)
        return await _run(work, client, config, display, end)


async def retry(config: Config, args: Namespace, console: ConsoleHandler, *, end: EndHook) -> int:
    """Try again what failed in earlier runs."""
    from collgs_async.mirror.retry import Retry

    with ExitStack() as display:
        client = Client(config, display.enter_context(console.progress(config, args)))
        work = Retry(client, kind=args.kind, report=args.report)
        return await _run(work, client, config, display, end)


async def _rehearse(config: Config, args: Namespace) -> int:
    """Show what a run would fetch and mark, and change nothing."""
    products: list[Product] = []
    rows: list[tuple[str, str]] = []

    def tell(kind: str, product: Product) -> None:
        rows.append((kind, product.identifier))
        if args.plan:
            products.append(product)

    async with Client(config) as client:
        work = Sync(client, believe=args.believe, ignore_missing=args.ignore_missing)
        result = await work.rehearse(tell, lambda kind, name: rows.append((kind, name)))
    if args.format == "json":
        listed = [{"id": name, "is": kind} for kind, name in rows]
        sys.stdout.write(json.dumps({"summary": result.to_dict(), "products": listed}, indent=1) + "\n")
    else:
        for kind, name in rows:
            sys.stdout.write(f"{kind:<10} {printable(name)}\n")
    if args.plan:
        _write_plan(config, args.plan, products)
    facts = result.facts(now=datetime.now(UTC), cycle=config.keep.cycle)
    for line in found_lines(facts)[:1]:
        log.info("%s", line)
    fetched = sum(kind in _FETCHED for kind, _ in rows)
    log.info("%s would be fetched; nothing was, and nothing was written down", plural(fetched, "product"))
    error = result.census.error
    if error is not None:
        log.error("the search ended early: %s", error)
    refused = facts.lost or facts.files_lost
    for line in trouble_lines(facts) if refused else []:
        log.error("%s", line)
    return 1 if error is not None or refused else 0


def _write_plan(config: Config, path: Path, products: list[Product]) -> None:
    from collgs_async.selection.plan import Plan

    parameters, selection = config.needed_query().to_dict(), config.selection.to_dict()
    plan = Plan.from_search(
        config.base_url, products, (), (), parameters=parameters, selection=selection, wish=config.parts.wish
    )
    plan.write(path)


async def _run(work: Sync | Retry, client: Client, config: Config, display: ExitStack, end: EndHook) -> int:
    """Run it, and log its summary however it ends."""
    interrupted, refused, failure = False, False, None
    try:
        async with client:
            await work.run()
    except (ConfigError, AlreadyRunningError):
        refused = True
        raise
    except CollgsError as error:
        failure = error
    except asyncio.CancelledError:
        interrupted = True
        raise
    finally:
        display.close()  # what follows comes after the bars
        end.summary = {**work.result.to_dict(), "output": config.destination}
        if failure is not None:
            log.error("%s", failure)
        if work.result.report is not None and not refused:
            _log_summary(work, config, interrupted=interrupted)
    return 1 if failure is not None else work.result.code


def _log_summary(work: Sync | Retry, config: Config, *, interrupted: bool) -> None:
    """Log the summary; what is a reason for exit code 1 also with ``-q``."""
    result = work.result
    facts = result.facts(now=datetime.now(UTC), cycle=config.keep.cycle)
    headline, *lines = [
        *(found_lines(facts) if isinstance(work, Sync) else []),
        *done_lines(result.report, config.folder, interrupted=interrupted),
        *revalidated_lines(facts),
    ]
    colour = "yellow" if interrupted or result.code == 3 else "red" if result.code else "green"
    log.info("%s", headline, extra={"colour": colour})
    for line in lines:
        log.info("%s", line)
    for line in trouble_lines(facts):
        log.error("%s", line)
    is_limited = result.report is not None and result.report.limit is not None
    for line in left_lines(facts, config.keep.requests, is_limited=is_limited):
        log.info("%s", line)
