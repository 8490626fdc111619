"""Download one product: from its URL to a verified file under its final name.

One product: `downloader` takes it through its steps: lock, `action` (from what `holdings` finds on disk), download,
verify, publish. A `job` holds the state of one download, as `segment` objects of its archive; `history` is what
outlives it while a product is postponed, which `put_off` decides. `repair` decides what to download again after a
failed verification, and `named_archive` repairs an archive of which only the file is known.

Its requests: `scheduler` runs jobs over a limited number of connections and retries them, `helpers` assign further
connections to a job that still has much to download. `fetch` makes one request for a `sink`, `range_request`
interprets its response from the headers alone, and `body_writer` writes the body into the part file. For large bodies,
`thread_receiver` takes the connection from aiohttp and reads a `body_source` in a thread; `internals` has the private
names that this needs.

The stores: `store` decides whether a host or a product is to blame for failures, by the classes of `store_errors`;
`outage` is one time without service, and `stores` has one store for each host.

A run: `run` joins search and download, `wait_counts` reports what it waits for, `suspend` notices that the computer
slept, and `tuning` has the figures of all this. Aside: `archive_sizes` and `quicklooks` make small requests to the
store.
"""
