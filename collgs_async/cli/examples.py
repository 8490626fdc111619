"""Examples for the help of each command, as they are typed; a test runs them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["EXAMPLES", "examples"]

_WIDTH: Final = 78

EXAMPLES: Final[dict[str, dict[str, str]]] = {
    "search": {
        "what was sensed in a box in the last 30 days": (
            "collgs-async search --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2 --start 30d"
        ),
        "at most 20 % of cloud, the clearest first, and a page with a map": (
            "collgs-async search --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2 --cloud-cover 20 --sort cloud "
            "--map scenes.html"
        ),
        "the ten newest, for a GIS": (
            "collgs-async search --collection S2_MSIL2A -n 10 --format geojson > scenes.geojson"
        ),
    },
    "collections": {
        "what the catalogue has": "collgs-async collections",
        "the same for a script": "collgs-async collections --format json",
    },
    "describe": {
        "by what a collection can be searched": "collgs-async describe S2_MSIL2A",
    },
    "quicklooks": {
        "the pictures of the five newest scenes": "collgs-async quicklooks --collection S2_MSIL2A -n 5 -o previews",
        "which ones there would be": "collgs-async quicklooks --collection S2_MSIL2A -n 5 --dry-run",
    },
    "ls": {
        "which files the archives of chosen products have": "collgs-async ls --ids chosen.txt",
        "what one band of them would take": "collgs-async ls --ids chosen.txt --bands B02",
    },
    "plan": {
        "choose, and write it down": "collgs-async plan plan.json --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2",
        "pull exactly that, here or elsewhere": "collgs-async --plan plan.json -o luxembourg",
        "exit with 1 if the catalogue has changed since": "collgs-async plan --diff plan.json --exit-code",
    },
    "download": {
        "a summer with little cloud, by eight workers": (
            "collgs-async download --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2 --start 2025-06-01 "
            "--end 2025-08-31 --cloud-cover 20 -o luxembourg -j 8"
        ),
        "see first what would be pulled, and how large it is": (
            "collgs-async download --collection S2_MSIL2A -n 5 --dry-run --sizes"
        ),
        "all that a configuration asks for, with a report": "collgs-async download -c config.json --report report.json",
    },
    "sync": {
        "each night: what is new, what comes late, what was reprocessed": (
            "collgs-async sync --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2 --latest-baseline -o mirror"
        ),
        "see first what it would do": "collgs-async sync --collection S2_MSIL2A -o mirror --dry-run",
        "by a configuration, until the morning": "collgs-async sync -c config.json --until 06:00",
    },
    "retry": {
        "try again now, also what failed for good": "collgs-async retry -o mirror",
        "only what the store did not have": "collgs-async retry -o mirror --kind NotAvailableError",
    },
    "verify": {
        "check each archive of a folder": "collgs-async verify downloads",
        "only its size and structure, which is quick": "collgs-async verify downloads --verify structure",
        "fetch again what is wrong": "collgs-async verify downloads --repair --collection S2_MSIL2A",
    },
    "prune": {
        "what would go, now that newer editions are here": (
            "collgs-async prune -c config.json --superseded move --latest-baseline --dry-run"
        ),
        "move it out of the way, into .collgs/old": (
            "collgs-async prune -c config.json --superseded move --latest-baseline"
        ),
    },
    "status": {
        "the state of an archive, in twelve lines": "collgs-async status -o mirror",
        "all that has happened to one product": (
            "collgs-async status -o mirror S2A_MSIL2A_20210629T050539_N0301_R008_T32ULV_20210629T122745"
        ),
        "for a program": "collgs-async status -o mirror --format json",
    },
    "ledger": {
        "write the products of an archive, with their history": "collgs-async ledger export -o mirror > products.jsonl",
        "checksums, which sha256sum -c compares": (
            "collgs-async ledger export -o mirror --format sha256sums > SHA256SUMS"
        ),
        "make it anew from the archives that are here": "collgs-async ledger rebuild -o mirror",
        "see first what would be moved": "collgs-async ledger relocate --layout '{platform}/{year}/{month}' --dry-run",
        "move all archives of a folder into the folders of a layout": (
            "collgs-async ledger relocate -o downloads --layout '{platform}/{year}/{month}'"
        ),
        "and back into one folder": "collgs-async ledger relocate -o downloads --layout flat",
    },
    "init": {
        "write config.json, then edit it": "collgs-async init",
        "under another name": "collgs-async init québec.json",
    },
    "login": {
        "ask for user and password, and try them": "collgs-async login",
        "with a password that a service keeps in a file": (
            "COLLGS_USERNAME=ada COLLGS_PASSWORD_FILE=/run/secrets/collgs collgs-async login"
        ),
    },
    "demo": {
        "see a download, and that a second run moves nothing": "collgs-async demo",
        "only two bands of each archive": "collgs-async demo --bands B02,SCL",
        "with a store that drops connections and lies": "collgs-async demo --fault cut truncated",
        "a catalogue to try other commands on": "collgs-async demo --serve --constellation > config.json",
        "the same catalogue a month later": "collgs-async demo --serve --port 8123 --history --day 30 > config.json",
    },
    "completion": {
        "complete words in this shell": "source <(collgs-async completion bash)",
        "for fish, for good": "collgs-async completion fish > ~/.config/fish/completions/collgs-async.fish",
    },
    "help": {
        "what can be selected by": "collgs-async help selection",
        "all options of a command": "collgs-async help download",
    },
}
"""For each command: what an example does, and its line."""


def examples(command: str) -> str:
    """Return the examples of a command as the end of its help; long lines are folded before a flag or a command."""
    parts = [f"  # {purpose}\n{_folded(line)}" for purpose, line in EXAMPLES[command].items()]
    return "examples:\n" + "\n".join(parts)


def _folded(line: str) -> str:
    lines = [" "]
    for piece in re.split(r" (?=--?[a-z]|> |collgs-async )", line):
        if len(lines[-1]) + len(piece) + len("  \\") > _WIDTH:
            lines[-1] += " \\"
            lines.append(" " * 5)
        lines[-1] += f" {piece}"
    return "\n".join(lines)
