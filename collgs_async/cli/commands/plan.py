"""``plan``: make and compare plans, and load the settings to download one."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING

from collgs_async.cli.commands.download import read_settings
from collgs_async.client import Client
from collgs_async.config.settings import OPTIONS, Config, Selection
from collgs_async.errors import ConfigError
from collgs_async.http.messages import printable
from collgs_async.models.query import given_names
from collgs_async.models.text import format_bytes
from collgs_async.reporting.summary import excluded_line, missing_lines
from collgs_async.selection.plan import MISSING, TWIN, Plan
from collgs_async.selection.plan_diff import compare
from collgs_async.storage.atomic import STDOUT

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["compare_plans", "load_plan_settings", "make_plan"]

log = logging.getLogger("collgs_async")


def load_plan_settings(plan_flag: str, args: Namespace, flags: Mapping[str, object]) -> Config:
    """Load the settings beside a plan: all but the selection, which the plan replaces.

    Raises
    ------
    ConfigError
        A flag sets a selection. Selections in file or environment are meant for searches, and only logged as ignored.
    """
    of_key = {option.key: option.flag for option in OPTIONS if option.group == "selection"}
    for key, value in flags.items():
        if value is not None and (key in of_key or key.startswith("parameters.")):
            raise ConfigError(f"{plan_flag}: expected no selection beside it, found {of_key.get(key, '--set')}")
    config = read_settings(args, flags)
    if idle := _selecting_settings(config):
        log.info("note: %s goes by the plan alone; without effect here: %s", plan_flag, ", ".join(idle))
    return config


def _selecting_settings(config: Config) -> list[str]:
    """Return the names of the settings that select products, except the collection."""
    asked = given_names(config.parameters) - {"parentIdentifier", "parentId", "httpAccept"}
    wanted = config.selection.to_dict()
    return [*(f"parameters.{name}" for name in sorted(asked)), *(f"selection.{name}" for name in wanted)]


async def make_plan(config: Config, args: Namespace) -> int:
    """Select products, and write the plan."""
    target = args.file
    _refuse_to_replace(target)
    async with Client(config) as client:
        plan = await client.plan(sizes=args.sizes)
    plan.write(target)
    missing = [one.identifier for one in plan.left_out if one.kind == MISSING]
    left_out = Counter(one.kind for one in plan.left_out if one.kind != MISSING)
    for line in missing_lines(missing):
        log.error("%s", line)
    log.info("%s: %s", target, _summary(plan))
    if left_out:
        log.info("%s", excluded_line(left_out))
    if plan.products and target != STDOUT:
        log.info("pull it with `collgs-async --plan %s`", target)
    return 1 if missing or left_out[TWIN] else 0


async def compare_plans(config: Config, args: Namespace) -> int:
    """List what is new, gone or changed since a plan was made: in another plan, or in the catalogue."""
    earlier = Plan.read(args.diff)
    if args.file:
        later = Plan.read(args.file)
    else:
        async with Client(_with_query_of(earlier, args.diff, config)) as client:
            later = await client.plan(sizes=args.sizes)
    comparison = compare(earlier, later)
    for line in comparison.lines():
        sys.stdout.write(printable(line) + "\n")
    log.info("%s", comparison)
    return 0


def _with_query_of(plan: Plan, name: str, config: Config) -> Config:
    """Return the settings with a plan's query, for the catalogue in the settings.

    A plan may come from anyone: if it determined the catalogue, it would determine which host receives the password.
    """
    if plan.catalogue != config.base_url:
        raise ConfigError(
            f"{name}: catalogue: expected the one of the settings, {config.base_url}, found {plan.catalogue}; "
            f"to ask that one, add --base-url {plan.catalogue}"
        )
    sections = {one: getattr(config, one) for one in ("base_url", "output_directory", "connection", "download_options")}
    try:
        return Config(**sections, parameters=dict(plan.parameters), selection=Selection(**plan.selection))
    except ConfigError as error:
        raise ConfigError([f"{name}: query.{problem}" for problem in error.problems]) from None


def _refuse_to_replace(target: Path) -> None:
    """Refuse to overwrite anything but another plan."""
    if target.is_dir():
        raise ConfigError(f"{target}: expected the name of a file, found a folder")
    if not target.resolve().parent.is_dir():
        raise ConfigError(f"{target}: expected a folder at {target.resolve().parent}, found none")
    if target.exists() and target.stat().st_size:
        try:
            Plan.read(target)
        except ConfigError:
            raise ConfigError(f"{target}: expected no file or a plan, found another file; it was left alone") from None


def _summary(plan: Plan) -> str:
    """Summarise a plan: number of products, range of dates, and size, as far as known."""
    number = f"{len(plan.products)} {'product' if len(plan.products) == 1 else 'products'}"
    days = sorted(product.raw.start[:10] for product in plan.products if product.raw.start)
    span = f", sensed {days[0]} to {days[-1]}" if days else ""
    sizes = [product.size for product in plan.products if product.size is not None]
    unknown = len(plan.products) - len(sizes)
    size = f", {format_bytes(sum(sizes))}{f' and {unknown} of unknown size' if unknown else ''}" if sizes else ""
    return number + span + size
