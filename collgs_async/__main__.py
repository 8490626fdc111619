"""``python -m collgs_async`` is the command ``collgs-async``."""

import gc
import sys
from typing import Final

__all__ = ["entry_point"]


_COLLECT_EACH: Final = 20_000
"""Objects between two collections of garbage; the default of 700 would find nothing while modules are loaded."""


def entry_point() -> None:
    """Load the command line and run it; Ctrl-C ends the loading, too, without a traceback."""
    gc.set_threshold(_COLLECT_EACH)
    try:
        from collgs_async.cli.main import entry_point as run
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        run()
    finally:
        gc.freeze()  # skip the final collection; the process is about to exit


if __name__ == "__main__":
    entry_point()
