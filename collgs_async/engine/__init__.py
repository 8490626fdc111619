"""Download the products of a run in several processes, of this machine or of a Dask cluster.

The process that leads the run: `driver` takes the place of `transfer.downloader`, hands each product out as one task,
and awaits its outcome; `cluster` connects to the cluster or starts one. `exchange` talks to each process once a second:
`permits` shares the requests that the store accepts, in return come bytes and `events`.

Each other process: `tasks` has what Dask runs by name, `process` one session and one downloader in a thread of its own.

Between them: `wire` has products, outcomes and settings as plain values, without passwords; by its `mark` a process
recognises the folder that all share.
"""
