"""The command line.

`parser` has the tree of commands and flags, and reads a command line; `main` loads its `settings` and runs one of
`commands`; `console` shows messages and progress, and handles signals. `help`, `topics` and `completion` derive from
the tree and the table of settings. Slow imports are deferred, so that ``--help`` is fast.
"""

from collgs_async.cli.main import entry_point, main

__all__ = ["entry_point", "main"]
