"""``python -m collgs_async`` is the command ``collgs-async``."""

import gc
import sys
from typing import Final

__all__ = ["entry_point"]


_COLLECT_EACH: Final = 10_000
"""Objects between two collections of garbage: by default they are 700."""


def entry_point() -> None:
    """Load the command line and run it; Ctrl-C ends the loading, too, without a traceback."""
    gc.set_threshold(_COLLECT_EACH)
    gc.disable()  # nothing of what is loaded is garbage; whoever runs a command has it collected from then on
    try:
        from collgs_async.cli.main import entry_point as run
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        run()
    finally:
        gc.freeze()  # all that is left goes with the process: nobody need look through it once more


if __name__ == "__main__":
    entry_point()
