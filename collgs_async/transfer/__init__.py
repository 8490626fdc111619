"""One product, from its URL to a verified file.

`judge` decides what an answer is worth from its headers alone; `trip` knows what is still missing of an archive, and
`stream` brings bytes of it into the part. `crew` has the connections of a run and tries again, with `helping` where an
archive gets several of them. `download` walks one product from its `decision` through all this to publication, with
`disk` to verify it, with the `sums` that were taken while its bytes went by, and `mending` for what is not right.
"""

from collgs_async.transfer.decision import Action, decide
from collgs_async.transfer.download import Downloader

__all__ = ["Action", "Downloader", "decide"]
