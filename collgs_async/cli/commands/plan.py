"""``plan``: make and compare plans."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING

from collgs_async.cli.nothing import describe_nothing
from collgs_async.client import Client
from collgs_async.config.settings import Config, Selection
from collgs_async.errors import ConfigError
from collgs_async.http.messages import printable
from collgs_async.models.text import plural
from collgs_async.reporting.summary import excluded_line, missing_lines
from collgs_async.reporting.totals import ListingTotals
from collgs_async.selection.plan import MISSING, TWIN, Plan
from collgs_async.selection.plan_diff import compare
from collgs_async.storage.atomic import STDOUT, unwritable_kind

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

__all__ = ["compare_plans", "make_plan"]

log = logging.getLogger("collgs_async")


async def make_plan(config: Config, args: Namespace) -> int:
    """Select products, and write the plan."""
    target = args.file
    if target is not None:
        _refuse_to_replace(target, force=args.force)
    async with Client(config) as client:
        plan = await client.create_plan(sizes=args.sizes)
        nothing = [] if plan.products or plan.left_out else await describe_nothing(client, (), None)
    if not args.dry_run:
        plan.write(target)
    missing = [one.identifier for one in plan.left_out if one.kind == MISSING]
    left_out = Counter(one.kind for one in plan.left_out if one.kind != MISSING)
    for line in missing_lines(missing):
        log.error("%s", line)
    log.info("%s%s", f"{target or 'the plan'} would hold " if args.dry_run else f"{target}: ", _summary(plan))
    if left_out:
        log.info("%s", excluded_line(left_out))
    for line in nothing:
        log.info("%s", line)
    if plan.products and not args.dry_run and target != STDOUT:
        log.info("pull it with `collgs-async --plan %s`", target)
    return 1 if missing or left_out[TWIN] else 0


async def compare_plans(earlier: Plan, config: Config, args: Namespace) -> int:
    """List what is new, gone or changed since a plan was made: in another plan, or in the catalogue."""
    if args.file:
        later = Plan.read(args.file)
    else:
        async with Client(_with_query_of(earlier, args.diff, config)) as client:
            later = await client.create_plan(sizes=args.sizes)
    comparison = compare(earlier, later)
    for line in comparison.lines():
        sys.stdout.write(printable(line) + "\n")
    log.info("%s", comparison)
    return 1 if args.exit_code and comparison else 0


def _with_query_of(plan: Plan, name: str, config: Config) -> Config:
    """Return the settings with a plan's query, for the catalogue in the settings.

    A plan may come from anyone: if it determined the catalogue, it would determine which host receives the password.
    """
    if plan.catalogue != config.base_url:
        raise ConfigError(
            f"{name}: catalogue: expected the one of the settings, {config.base_url}, found {plan.catalogue}; "
            f"to ask that one, add --base-url {plan.catalogue}"
        )
    sections = {
        one: getattr(config, one)
        for one in ("base_url", "output_directory", "endpoint_url", "spool", "parts", "connection", "download_options")
    }
    try:
        return Config(**sections, parameters=dict(plan.parameters), selection=Selection(**plan.selection))
    except ConfigError as error:
        raise ConfigError([f"{name}: query.{problem}" for problem in error.problems]) from None


def _refuse_to_replace(target: Path, *, force: bool) -> None:
    """Refuse to overwrite a plan, unless that is forced, and any other file."""
    if kind := unwritable_kind(target):
        raise ConfigError(f"{target}: expected the name of a file, found {kind}")
    if not target.resolve().parent.is_dir():
        raise ConfigError(f"{target}: expected a folder at {target.resolve().parent}, found none")
    if target.exists() and target.stat().st_size:
        try:
            Plan.read(target)
        except ConfigError:
            raise ConfigError(f"{target}: expected no file or a plan, found another file; it was left alone") from None
        if not force:
            raise ConfigError(f"{target}: expected no plan of this name, found one; --force replaces it")


def _summary(plan: Plan) -> str:
    """Summarise a plan: number of products, range of dates, and size, as far as known."""
    number = plural(len(plan.products), "product")
    days = sorted(product.raw.start[:10] for product in plan.products if product.raw.start)
    span = f", sensed {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    totals = ListingTotals(plan.wish)
    for product in plan.products:
        totals.add(product)
    return f"{number}{span}{f', {totals.size}' if totals.sized else ''}"
