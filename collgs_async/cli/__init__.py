"""The command line.

`parser` defines commands, options and topics, `values` parses a command line to a namespace, `main` dispatches it to
`commands`, and `console` shows messages and handles signals. Slow imports are deferred, so that ``--help`` is fast.
"""

from collgs_async.cli.main import entry_point, main

__all__ = ["entry_point", "main"]
