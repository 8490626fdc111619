"""``prune``: move or delete archives that are not wanted any more, as the configuration's policies say."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collgs_async.cli.commands.status import existing_ledger
from collgs_async.errors import ConfigError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.prune import plan_prune, prune
from collgs_async.mirror.reserve import free_reserve, keep_reserve
from collgs_async.models.text import plural, printable
from collgs_async.reporting.pruning import plan_line, plan_summary, prune_summary

if TYPE_CHECKING:
    from collgs_async.config.settings import Config
    from collgs_async.mirror.hooks import EndHook
    from collgs_async.mirror.prune import PrunePlan, PruneReport
    from collgs_async.mirror.removals import Removal

__all__ = ["check_policies", "remove_unwanted"]

log = logging.getLogger("collgs_async")


def check_policies(config: Config) -> None:
    """Raise a ConfigError unless something is to be removed, and `sync` would not fetch it again."""
    keep = config.keep
    if set(keep.policies) == {"keep"}:
        raise ConfigError(
            "prune: expected a policy, such as --superseded move, --withdrawn move or --aged delete, found none; "
            "nothing is removed"
        )
    if keep.superseded != "keep" and not config.selection.latest_baseline:
        raise ConfigError(
            "keep.superseded: expected --latest-baseline beside it (selection.latest_baseline), found none: "
            "sync would fetch older editions again"
        )


async def remove_unwanted(config: Config, end: EndHook, *, dry_run: bool) -> int:
    """List what the policies say is to be removed, and unless this is a dry run, remove it."""
    paths = existing_ledger(config)
    if dry_run:
        async with Ledger.read(paths) as ledger:
            _list(await plan_prune(ledger, config.keep, now=_now()), config.keep.max_delete)
        return 0
    free_reserve(paths.folder)
    try:
        async with ExclusiveRun(paths, "prune") as exclusive:
            plan = await plan_prune(exclusive.ledger, config.keep, now=exclusive.begun)
            _list(plan, config.keep.max_delete)
            report = await prune(exclusive.ledger, plan, run=exclusive.run, clock=exclusive.now, on_removed=_tell)
            await exclusive.end(_code(plan, report))
    finally:
        keep_reserve(paths.folder)
    if plan.removals:
        level = logging.ERROR if report.left else logging.INFO
        log.log(level, "%s", prune_summary(report.moved, report.deleted, report.freed, len(report.left)))
    end.summary = {"moved": report.moved, "deleted": report.deleted, "freed": report.freed, "left": len(report.left)}
    return _code(plan, report)


def _now() -> int:
    return to_ms(datetime.now(UTC)) or 0


def _code(plan: PrunePlan, report: PruneReport) -> int:
    if report.left:
        return 1
    return 3 if plan.later else 0


def _list(plan: PrunePlan, share: float) -> None:
    for one in plan.removals:
        successor = one.successors[0].product.identifier if one.successors else None
        line = plan_line(one.identifier, one.reason, one.policy, one.edition.size, successor)
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()
    log.info("%s", plan_summary([(one.policy, one.edition.size) for one in plan.removals], plan.later, share))
    if plan.wanted:
        wanted = plural(plan.wanted, "archive")
        log.info("%s would go, but another configuration of this folder wants to keep what it lists", wanted)


def _tell(removal: Removal, why: str | None) -> None:
    if why is not None:
        log.error("%s: stays: %s", removal.identifier, why)
    else:
        log.debug("%s: %s", removal.identifier, "moved" if removal.policy == "move" else "deleted")
