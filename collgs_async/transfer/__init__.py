"""Download one product: from its URL to a verified file under its final name.

`downloader` takes one product through its steps: lock, `action`, download, verify, publish. A `job` holds the state of
one download, as segments of its archive. The `scheduler` runs jobs over a limited number of connections and retries
them; `helpers` assign further connections to a job that still has much to download. `fetch` makes one request,
`range_request` interprets its response from the headers alone, and `body_writer` writes the response body into the
part file. For large bodies, `thread_receiver` takes the connection from aiohttp and reads a `body_source` in a thread;
`internals` has the private names that this needs. `repair` decides what to download again after a failed verification.
`stores` and `outage` keep the state of each host, `put_off` postpones products that have to wait, and `wait_counts`
reports what a run waits for.
"""
