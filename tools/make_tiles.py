"""Create the demo's ``tiles.json``: the corners of the tiles that its constellation sees, for the frames of pictures.

``python -m tools.make_tiles > collgs_async/demo/tiles.json`` creates the file.
"""

from __future__ import annotations

import json
import sys

from collgs_async.demo.constellation import FIJI, LUXEMBOURG
from collgs_async.models.tiles import tile_corners

__all__ = ["main"]


def main() -> None:
    """Write the table to standard output, one line per tile: its corners, counterclockwise from the upper left one."""
    lines = (
        f"{json.dumps(tile)}:{json.dumps([[round(x, 6), round(y, 6)] for x, y in tile_corners(tile)])}"
        for tile in sorted({*LUXEMBOURG, *FIJI})
    )
    sys.stdout.write("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
