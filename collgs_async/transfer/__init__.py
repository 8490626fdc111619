"""One product, from its URL to a verified file.

`downloader` walks one product from its `action` to publication. `job` knows what is still missing of its archive;
`scheduler` has the connections of a run and tries again, with `helpers` where an archive gets several of them. `fetch`
makes one request, `range_request` decides what its answer is worth from the headers alone, and `body` writes what
comes; `receiver` takes the bulk over a `connection` of its own. `repair` mends what the verifier found wrong. `stores`,
`outage`, `staging` and `waits` say when a store is asked at all.
"""

from collgs_async.transfer.action import Action, decide
from collgs_async.transfer.downloader import Downloader

__all__ = ["Action", "Downloader", "decide"]
