"""Words in, exit code out.

`vocabulary` says which words there are, and `words` turns a command line into a namespace; `commands` does what it
says, `screen` shows messages and catches signals. What takes long to import is imported where it is used, so that
``--help`` answers at once.
"""

from collgs_async.cli.main import entry_point, main

__all__ = ["entry_point", "main"]
