"""The state of a mirror, and all that has happened to one product, as lines for people and as values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import printable
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.times import from_ms, to_ms
from collgs_async.models.text import format_bytes, format_duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from collgs_async.ledger.details import ProductDetails
    from collgs_async.ledger.overview import LedgerOverview
    from collgs_async.ledger.records import AttemptRecord, ProductRecord, RunRecord

__all__ = ["details_lines", "details_values", "event_values", "overview_lines", "overview_values", "time_text"]

_COLUMN: Final = 14
_MOST_KINDS: Final = 3
_DAY_MS: Final = 24 * 3600 * 1000

_STATES: Final = {
    State.WANTED: "wanted, and not here yet",
    State.HELD: "here",
    State.PART: "chosen members are here",
    State.FAILED: "failed, and tried again",
    State.FINAL: "failed, and not tried again by itself",
    State.SUPERSEDED: "superseded by a newer edition",
    State.WITHDRAWN: "not listed any more",
    State.AGED: "older than the time range of the mirror",
    State.EXCLUDED: "listed, and not wanted",
}

_EVENTS: Final = {
    Event.SKIPPED: "was here already",
    Event.CHECKED: "verified",
    Event.BAD: "found damaged",
    Event.ADOPTED: "found in the folder",
    Event.MISSING: "not in the folder any more",
    Event.GONE: "not listed any more",
    Event.RETURNED: "listed again",
    Event.CHANGED: "replaced, as it was at the store",
    Event.EXCLUDED: "not wanted",
}


def overview_lines(overview: LedgerOverview, folder: Path, *, now: datetime, free: tuple[int, int] | None) -> list[str]:
    """Return the state of a mirror in twelve lines, which are the same each time, and one more for what is rare.

    Parameters
    ----------
    folder
        The output folder.
    now
        Aware.
    free
        Free and total bytes of its disk; None: unknown.
    """
    moment = to_ms(now) or 0
    states = overview.states
    room = "" if free is None else f"; {format_bytes(free[0])} of {format_bytes(free[1])} free"
    watched = f", in {plural(len(overview.watches), 'watch', 'watches')}: " if overview.watches else ""
    rows = {
        "folder": f"{printable(str(folder))}{room}",
        "known": f"{_counted(overview.products, 'product')}{watched}{_joined(overview.watches)}",
        "here": f"{_counted(overview.archives, 'archive')}, {format_bytes(overview.bytes)}"
        + (f", and members of {_number(states[State.PART])} more" if states[State.PART] else ""),
        "to fetch": f"{_number(states[State.WANTED])} wanted and not here yet",
        "failed": _failed(overview, moment),
        "damaged": f"{_counted(overview.bad, 'archive')} to be fetched again" if overview.bad else "none",
        "gone": f"{_number(overview.gone)} not listed any more,"
        f" {_number(overview.absent)} absent from the last listing",
        "kept": ", ".join(
            f"{_number(overview.kept.get(state, 0))} {state.name.lower()} ({format_bytes(size)})"
            for state, size in overview.kept_bytes.items()
        ),
        "not wanted": _not_wanted(overview),
        "listed": _listed(overview, moment),
        "last run": _runs(overview, moment),
        "checked": _checked(overview, moment),
    }
    if overview.changed:
        rows["replaced"] = f"{_counted(overview.changed, 'archive')} by the store, and not fetched again yet"
    return [f"{name:<{_COLUMN}}{text}" for name, text in rows.items()]


def overview_values(
    overview: LedgerOverview, folder: Path, *, now: datetime, free: tuple[int, int] | None
) -> dict[str, Any]:
    """Return the same as values for JSON; times are text (RFC 3339), and None where there is none."""
    return {
        "folder": str(folder),
        "at": time_text(to_ms(now)),
        "products": overview.products,
        "states": {state.name.lower(): count for state, count in overview.states.items()},
        "archives": overview.archives,
        "bytes": overview.bytes,
        "kept": {state.name.lower(): count for state, count in overview.kept.items()},
        "kept_bytes": {state.name.lower(): size for state, size in overview.kept_bytes.items()},
        "not_wanted": dict(overview.unwanted),
        "retry_at": time_text(overview.retry_at),
        "given_up": dict(overview.given_up),
        "damaged": overview.bad,
        "changed": overview.changed,
        "gone": overview.gone,
        "absent": overview.absent,
        "unchecked": overview.unchecked,
        "oldest_check": time_text(overview.oldest_check),
        "spans": overview.spans,
        "unsettled_spans": overview.unsettled,
        "oldest_listing": time_text(overview.oldest_listing),
        "other_listings": {name: time_text(moment) for name, moment in overview.other_listings.items()},
        "hooks_due": overview.hooks_due,
        "watches": list(overview.watches),
        "last_run": _run_values(overview.last_run),
        "last_success": _run_values(overview.last_success),
        "free_bytes": free and free[0],
        "disk_bytes": free and free[1],
    }


def _failed(overview: LedgerOverview, moment: int) -> str:
    again, given_up = overview.states[State.FAILED], sum(overview.given_up.values())
    due = f", the next {_when(overview.retry_at, moment)}" if overview.retry_at is not None else ""
    kinds = f" ({_kinds(overview.given_up)})" if given_up else ""
    return f"{_number(again)} tried again{due}; {_number(given_up)} not tried again by itself{kinds}"


def _not_wanted(overview: LedgerOverview) -> str:
    count = sum(overview.unwanted.values())
    return f"{_number(count)} ({_kinds(overview.unwanted)})" if count else "none"


def _kinds(counts: Mapping[str, int]) -> str:
    most = list(counts.items())[:_MOST_KINDS]
    rest = sum(counts.values()) - sum(count for _, count in most)
    words = [f"{_number(count)} {printable(kind) or 'of unknown kind'}" for kind, count in most]
    return ", ".join([*words, *([f"{_number(rest)} other"] if rest else [])])


def _listed(overview: LedgerOverview, now: int) -> str:
    if not overview.spans:
        return "never"
    missing = f"; {_number(overview.unsettled)} of {_counted(overview.spans, 'span')} never to the end"
    oldest = _when(overview.oldest_listing, now) if overview.oldest_listing is not None else "never"
    others = list(overview.other_listings.items())
    words = [f"; {printable(name)} asked for last {_when(moment, now)}" for name, moment in others[:_MOST_KINDS]]
    rest = "; …" if len(others) > _MOST_KINDS else ""
    return f"each span of time since {oldest}{missing if overview.unsettled else ''}{''.join(words)}{rest}"


def _runs(overview: LedgerOverview, moment: int) -> str:
    run, success = overview.last_run, overview.last_success
    if run is None:
        return "none"
    if run.ended is None:
        return f"{printable(run.words)} has begun {_when(run.begun, moment)} and not ended{_success(success, moment)}"
    took = format_duration(max(0, run.ended - run.begun) / 1000)
    code = "was killed" if run.code is None else f"exit code {run.code}"
    last = "" if run == success else _success(success, moment)
    return f"{printable(run.words)}, {_when(run.ended, moment)}, took {took}, {code}{last}"


def _success(run: RunRecord | None, moment: int) -> str:
    return f"; the last success {_when(run.ended, moment)}" if run else "; none was a success yet"


def _checked(overview: LedgerOverview, moment: int) -> str:
    never = f"{_counted(overview.unchecked, 'archive')} never" if overview.unchecked else ""
    if overview.oldest_check is None:
        return never or "nothing is here"
    oldest = f"the oldest {_when(overview.oldest_check, moment)}"
    return f"{oldest}; {never}" if never else oldest


# ------------------------------------------------------------------------------------------------------ one product


def details_lines(details: ProductDetails, *, now: datetime) -> list[str]:
    """Return all that is known of one product, and what has happened to it, the oldest first."""
    moment = to_ms(now) or 0
    lines = [printable(details.product.identifier)]
    lines += [f"  {printable(name):<{_COLUMN}}{printable(text)}" for name, text in _rows(details, moment) if text]
    if details.attempts:
        lines.append("  history")
    lines += [f"    {_moment(one.at)}  {printable(_happened(one, details.runs))}" for one in details.attempts]
    return lines


def _rows(details: ProductDetails, moment: int) -> Iterator[tuple[str, str | None]]:
    product, file = details.product, details.file
    yield "state", _state(product)
    yield "collection", product.collection
    yield "sensed", None if product.start is None else _moment(product.start)
    yield "edition", _edition(product)
    for other in details.editions:
        yield "also made", f"{other.identifier}: {_STATES[other.state]}"
    yield "listed", _listing(product, moment)
    yield "address", details.url
    if file is not None:
        members = "" if file.members is None else f", {plural(file.members, 'member')}"
        size = "" if file.size is None else f", {format_bytes(file.size)}"
        yield "file", f"{file.path}{size}{members}" if file.path else "none any more"
        yield "SHA-256", file.sha256.hex() if file.sha256 else None
        yield "at the store", ", ".join(filter(None, (file.etag, file.modified))) or None
        yield "fetched", None if file.fetched is None else _when(file.fetched, moment)
        yield "verified", f"{_when(file.checked, moment)}, by {file.how}" if file.checked is not None else "never"
        yield "damaged", file.bad
    yield "last error", product.error
    if product.retry_at is not None:
        yield "next try", f"{_when(product.retry_at, moment)}, after {plural(product.tries, 'failure')}"


def _state(product: ProductRecord) -> str:
    why = f": {product.wanted}" if product.wanted else ""
    return f"{_STATES[product.state]}{why}"


def _edition(product: ProductRecord) -> str | None:
    made = None if product.produced is None else f"made {_moment(product.produced)}"
    return ", ".join(filter(None, (_baseline(product.edition), made))) or None


def _baseline(edition: str | None) -> str | None:
    """Return an edition as names have it: ``0003.0001`` is 03.01; one that is not of ESA begins with a minus."""
    parts = [part for part in (edition or "").split(".") if part != "-"]
    words = ".".join(f"{int(part):02}" if part.isdecimal() else part for part in parts)
    return f"{words} (not of ESA)" if edition and edition.startswith("-") else words or None


def _listing(product: ProductRecord, moment: int) -> str | None:
    if product.seen is None:
        return "in no listing yet"
    words = f"last {_when(product.seen, moment)}"
    if product.first_seen is not None:
        words = f"first {_moment(product.first_seen)}, {words}"
    if product.gone is not None:
        return f"{words}, gone since {_moment(product.gone)}"
    return f"{words}, absent from the last listing" if product.absent else words


def _happened(one: AttemptRecord, runs: Mapping[int, RunRecord]) -> str:
    run = runs.get(one.run) if one.run is not None else None
    whose = f"  (run {run.id}, {run.words})" if run else ""
    word = _EVENTS.get(one.event, one.event.name.lower())
    moved = f", {format_bytes(one.bytes)} in {format_duration(one.seconds)}" if one.bytes else ""
    asked = f", {plural(one.requests, 'request')}" if one.requests else ""
    why = f": {one.error}" if one.error else ""
    return f"{word}{moved}{asked}{why}{whose}"


def details_values(details: ProductDetails) -> dict[str, Any]:
    """Return the same as values for JSON; times are text (RFC 3339), and None where there is none."""
    product, file = details.product, details.file
    return {
        "identifier": product.identifier,
        "state": product.state.name.lower(),
        "collection": product.collection,
        "sensing_start": time_text(product.start),
        "sensing_end": time_text(product.stop),
        "edition": product.edition,
        "produced": time_text(product.produced),
        "editions": {one.identifier: one.state.name.lower() for one in details.editions},
        "first_seen": time_text(product.first_seen),
        "seen": time_text(product.seen),
        "absent": bool(product.absent),
        "gone": time_text(product.gone),
        "not_wanted": product.wanted,
        "failures": product.tries,
        "retry_at": time_text(product.retry_at),
        "error": product.error,
        "url": details.url,
        "file": file
        and {
            **{name: getattr(file, name) for name in ("path", "size", "etag", "how", "members", "bad")},
            "last_modified": file.modified,
            "sha256": file.sha256.hex() if file.sha256 else None,
            **{name: time_text(getattr(file, name)) for name in ("mtime", "fetched", "checked")},
            "run": file.run,
        },
        "history": [event_values(one) for one in details.attempts],
    }


# ------------------------------------------------------------------------------------------------------------ words


def event_values(event: AttemptRecord) -> dict[str, Any]:
    """Return an event as values for JSON."""
    return {**asdict(event), "at": time_text(event.at), "event": event.event.name.lower()}


def time_text(milliseconds: int | None) -> str | None:
    """Return a time as RFC 3339 has it; None for None, and for what is no time."""
    moment = from_ms(milliseconds)
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _run_values(run: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    times = {"begun": time_text(run.begun), "ended": time_text(run.ended)}
    where = {"host": run.host, "version": run.version}
    return {"id": run.id, "command": run.words, **times, **where, "exit_code": run.code}


def _number(count: int) -> str:
    return f"{count:,}"


def _counted(count: int, noun: str) -> str:
    return f"{_number(count)} {noun if count == 1 else f'{noun}s'}"


def _joined(names: tuple[str, ...]) -> str:
    shown = [printable(name) for name in names[:_MOST_KINDS]]
    return ", ".join([*shown, *(["…"] if len(names) > _MOST_KINDS else [])])


def _moment(milliseconds: int) -> str:
    moment = from_ms(milliseconds)
    return "at an unknown time" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _when(milliseconds: int | None, now: int) -> str:
    """Return a time, with its distance from now where that is a day or more."""
    if milliseconds is None:
        return "at an unknown time"
    days = abs(now - milliseconds) // _DAY_MS
    if not days:
        return _moment(milliseconds)
    distance = f"{plural(days, 'day')} ago" if milliseconds <= now else f"in {plural(days, 'day')}"
    return f"{_moment(milliseconds)} ({distance})"
