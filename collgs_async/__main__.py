"""``python -m collgs_async`` is the command ``collgs-async``."""

import sys

__all__ = ["entry_point"]


def entry_point() -> None:
    """Load the command line and run it; Ctrl-C ends the loading, too, without a traceback."""
    try:
        from collgs_async.cli import entry_point as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    entry_point()
