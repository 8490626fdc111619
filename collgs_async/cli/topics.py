"""What ``collgs-async help TOPIC`` explains: `TOPICS` has a row for each, with its prose and its table."""

from __future__ import annotations

from typing import Final, NamedTuple

from collgs_async.config.options import Group, Option, env_name
from collgs_async.config.settings import OPTIONS

__all__ = ["EXIT_CODES", "FILES", "TOPICS", "VARIABLES", "Topic"]

EXIT_CODES: Final = {
    "0": "everything is here (also when nothing matched)",
    "1": "a product, the search or the sign-in failed, or the disk is full",
    "2": "wrong usage or configuration; nothing was touched",
    "3": "stopped at a limit that was asked for, with nothing failed; the next run goes on",
    "4": "sync, retry or another command that changes the folder is at work there; nothing was done",
    "129": "a hang-up: the terminal was closed",
    "130": "Ctrl-C; a second one leaves at once",
    "143": "SIGTERM",
}

FILES: Final = {
    "<identifier>.zip": "a complete, verified archive",
    "<identifier>.zip.part": "one on its way; the next run goes on with it",
    "<identifier>.zip.part.json": (
        "which version of it that is: address, length, validators, and which ranges are here"
    ),
    "<identifier>.zip.part.lease": "some run is fetching it now",
    "<identifier>.parts": "chosen members of an archive as files, each complete and verified; parts.json lists them",
    ".collgs/ledger.sqlite": "what is known of each product of a mirror, and what has happened to it",
    ".collgs/spool": "outcomes of other runs, such as downloads, until they are in the ledger",
    ".collgs/old": "what prune has moved out of the way, by reason and month",
    ".collgs/layout": "archives lie in folders by a layout, so each run looks through them",
    ".collgs/reserve": "room on the disk for what prune has to write before it deletes anything",
}

VARIABLES: Final = {
    "COLLGS_USERNAME": "the user name for the sign-in",
    "COLLGS_PASSWORD": "the password for the sign-in; there is no flag for it",
    "COLLGS_PASSWORD_FILE": "a file with the password, as systemd and Docker give it to services",
    "COLLGS_CONFIG": "the configuration file, unless --config names one",
    "COLLGS_ID, COLLGS_PATH, COLLGS_SHA256": "of the archive, for the command of --on-archive",
    "COLLGS_EXIT": "the exit code, for the command of --on-end",
    "HTTP_PROXY, HTTPS_PROXY": "the proxy to go through, unless --proxy names one",
    "ALL_PROXY": "the same, for what neither of these two names; a SOCKS proxy is refused",
    "NO_PROXY": "hosts that are reached without the proxy",
    "NO_COLOR": "if it is not empty, nothing has colours",
    "FORCE_COLOR": "if it is not empty, messages have colours also without a terminal",
    "TERM": "if it is dumb, the terminal gets neither colours nor bars",
}
"""Environment variables beside those of the options table."""


class Topic(NamedTuple):
    """A topic of the help.

    Attributes
    ----------
    title
        What it is about, in one line.
    prose
        Paragraphs; indented ones are shown as they are.
    table
        Names, each with its meaning; empty: none.
    """

    title: str
    prose: str
    table: dict[str, str]


def _meaning(option: Option) -> str:
    if option.default is None:
        return option.help
    default = str(option.default).lower() if option.is_switch else option.default
    return f"{option.help} (default: {default})"


def _flags(*groups: Group) -> dict[str, str]:
    options = [option for option in OPTIONS if option.group in groups]
    return {f"{', '.join(option.flags)} {option.metavar}".rstrip(): _meaning(option) for option in options}


TOPICS: Final = {
    "selection": Topic(
        "what is pulled: where, when and which",
        """\
All that is asked for holds at once. Where the catalogue knows how to ask, it is asked; what identifier and footprint
tell is checked here, and what is left out is counted by its reason (each is named with -v). The filters come first,
then the newest of what passes them, then the best of these, then --count.

A collection must be named. Times are UTC; a date as the end means the end of that day.""",
        _flags("selection"),
    ),
    "parts": Topic(
        "only some bands of each archive",
        """\
Of each archive only the members that are wanted are fetched, into a folder <identifier>.parts. Bands of one kind of
product have these words, in any case; B2 is read as B02:

  S2 L1C   B01 to B12, B8A, TCI, PVI, MASKS
  S2 L2A   B01 to B09, B8A, B11, B12, AOT, WVP, SCL, TCI, CLD, SNW, PVI, MASKS
  S1 GRD   VV, VH, HH, HV, CAL, NOISE, RFI
  S1 SLC   the same, and IW1 to IW3, EW1 to EW5
  S3 OL_1  Oa01 to Oa21, GEO, TIE, FLAGS

With a band come the files that GDAL needs to open it. Polarisations and swaths narrow each other down: VV,IW2 is VV of
IW2. A product that lacks a band fails, and its message names those that it has. Of other products, and of those of
Sentinel-2 before December 2016, files are chosen by --members alone: patterns as for file names, for the path below the
top folder of the archive, in any case, in which * also matches slashes. What bands and patterns choose adds up.

`collgs-async ls PRODUCT` lists the files of an archive, search --sizes how much is wanted of each. A later run without
these flags fetches the rest of the archive into <identifier>.zip, and compressed files again, unless --keep-part kept
their bytes. GDAL reads a band that was not fetched as zeros: open the files of the bands themselves.

A plan remembers what was wanted when it was made. That goes before file and variables, and a flag goes before it, key
by key. --bands "" takes back bands and resolution of a plan or a file: then whole archives are fetched.""",
        _flags("parts"),
    ),
    "plans": Topic(
        "choosing now, pulling later or elsewhere",
        """\
A plan is a JSON file with the query, the catalogue, the date, each chosen product and each one that was left out
with its reason: one a line, in an order of its own, so that any tool can compare two of them. It names no file of
this computer and holds no password. Lines of products may be deleted by hand.

  collgs-async plan plan.json [OPTIONS]       choose, and write it down
  collgs-async --plan plan.json               pull exactly that, also elsewhere
  collgs-async --plan plan.json --dry-run     list what of it is not here yet
  collgs-async plan --diff plan.json          what has changed since
  collgs-async plan --diff old.json new.json  in what two plans differ

A pull from a plan asks the catalogue nothing. Nor does a plan say where a password may go: that remains the host of
--base-url and those of --auth-hosts. A difference is marked + for new, - for gone and ~ for changed.""",
        {},
    ),
    "files": Topic(
        "what lies in the output folder",
        """\
A second run skips what is here and goes on with what is unfinished. An identifier that is no safe file name is
changed, and gets 32 digits of its SHA-256 so that two never share a file.""",
        FILES,
    ),
    "config": Topic(
        "the configuration file, and all its keys",
        """\
A JSON file, named by --config or COLLGS_CONFIG, or config.json where it exists. A flag goes before the variable, that
before the file, that before the default. `collgs-async init` writes a sample. The section parameters may hold any other
search parameter of the catalogue.""",
        {option.key: _meaning(option) for option in OPTIONS},
    ),
    "environment": Topic(
        "the variables that are read",
        """\
A flag goes before the variable, that before the file, that before the default; an empty variable counts as not set.""",
        {env_name(option): _meaning(option) for option in OPTIONS} | VARIABLES,
    ),
    "sign-in": Topic(
        "user name and password",
        """\
The search needs no account; archives may. User name and password are read from COLLGS_USERNAME and COLLGS_PASSWORD,
else from ~/.netrc, which only its owner may be able to read:

  machine collgs.lu login NAME password WORD

There is no flag and no key for a password, and none is ever written to a log, a report or a plan. It is posted only
over https, and only to the catalogue's host, to those below it, or to hosts that --auth-hosts names.
`collgs-async login` tries them, and says who one is.""",
        {name: VARIABLES[name] for name in ("COLLGS_USERNAME", "COLLGS_PASSWORD", "COLLGS_PASSWORD_FILE")},
    ),
    "mirror": Topic(
        "a folder that is kept for years, and its ledger",
        """\
  sync             keep the folder equal to what the catalogue lists
  status           what is here, failed or gone; status PRODUCT: its history
  retry            try again now what failed
  verify --oldest  read again what was not read for the longest time
  prune            move or delete what is superseded, withdrawn or aged
  ledger           export or rebuild it, or relocate archives into folders

The ledger is a database with what is known of each product, and what has happened to it. It is an index, and the
archives remain the truth: a folder without its ledger has lost no archive. Runs beside it that do not write the ledger,
such as a plain download, leave their outcomes for it in .collgs/spool.""",
        _flags("keep"),
    ),
    "transfer": Topic(
        "how archives are fetched, kept and checked",
        "Every archive is fetched into a .part, checked, and only then gets its name.",
        _flags("output", "transfer", "connection"),
    ),
    "exit-codes": Topic("what each exit code means", "", EXIT_CODES),
}
